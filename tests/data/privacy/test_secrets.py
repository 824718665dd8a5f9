"""What opens doors is found; what looks as random and opens none is not."""

from __future__ import annotations

import hashlib
import uuid

import pytest

from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.privacy.rules import PrivacyRules

SECRETS = Recognisers(PrivacyRules(kinds=("secret",)))
DIGEST = hashlib.sha256(b"x").hexdigest()


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SECRETS.find(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("password = 'hunter2x'", "hunter2x"),
        ('"db_password": "Xk29!mmn"', "Xk29!mmn"),
        ("password: hunter2\n", "hunter2"),
        ("PGPASSWORD=s3cr3t-9q psql", "s3cr3t-9q"),
        ("Das Passwort lautet bücher1526!", "bücher1526!"),
        ("Mot de passe : Ete2024!\n", "Ete2024!"),
        ("Das Passwort lautet: Sommer2024!", "Sommer2024!"),
        ("password: Tr0ub4dor&3xQ and", "Tr0ub4dor&3xQ"),
        ("GET /x?password=Tr0ub4dor9&page=1", "Tr0ub4dor9"),
        (
            "see https://hooks.slack.com/services/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 there",
            "https://hooks.slack.com/services/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",
        ),
        ("<password>W4md8l_k6M7</password>", "W4md8l_k6M7"),
        ("tool --token a8F3kz09Qw7LmN2xY5tR --go", "a8F3kz09Qw7LmN2xY5tR"),
        ('api_key: "0f3a9c17d2b84e6655aa90bc1234de78"', "0f3a9c17d2b84e6655aa90bc1234de78"),
        ("postgres://ada:Xk29mmn@db.example.com:5432/x", "ada:Xk29mmn@db.example.com:5432"),
        ("token=ghp_16C7e42F292c6912E7710c838347Ae178B4a", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
        ("x AKIAIOSFODNN7EXAMPLE.", "AKIAIOSFODNN7EXAMPLE"),
        (
            "so ls-fs23lxj3my-LZmy_bfZf7opDrugA_2u6Jc_Q4Vq383prfEef9tHmF-.",
            "ls-fs23lxj3my-LZmy_bfZf7opDrugA_2u6Jc_Q4Vq383prfEef9tHmF-",
        ),
        (
            "hook 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",
            "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",
        ),
    ],
)
@pytest.mark.parametrize("behind", ["", " " * 2000], ids=["short", "long"])
def test_the_value_alone_is_found(text: str, value: str, behind: str) -> None:
    """Long texts and short ones are searched in different ways."""
    assert found(text + behind) == [value]


@pytest.mark.parametrize(
    "text",
    [
        f"commit {DIGEST[:40]}",
        f"a tool called ls-colours189-{DIGEST[:43]} is none",  # a key's id has neither 0, 1, 8 nor 9
        "tools-fs23lxj3my-LZmy_bfZf7opDrugA_2u6Jc_Q4Vq383prfEef9tHmFg",
        f"the branch ls-fs23lxj3my-{DIGEST[:44]}",
        "write ls-aaaaaaaaaa-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA instead",
        f"sha256:{DIGEST}",
        "https://hooks.slack.com/services/ is where webhooks are",
        f"key {uuid.UUID(int=7**60 % 2**128)}",
        f"cache_key = '{DIGEST[:32]}'",
        f'integrity="sha512-{DIGEST}{DIGEST}"',
        "[SECRET]: hunter2x",
        "password = getpass.getpass()",
        "password = password2 or passwd1",
        "password = os.environ['DB_PASSWORD']",
        "password: <your password here>",
        "password=${DB_PASSWORD}",
        "password = '********'",
        "PWD: '/home/ada2/Src-7'",
        "cache_key: '3f2504e0-4f89-41d3-9a0c-0305e82c3301'",
        "token = self.tokens[0]",
        "api_key = 'YOUR_API_KEY_HERE'",
        "public_key = 'SIXvRyDmBJSgatgTQRGbInBaAK5hZOQ18UmrSwnDlK8'",
        "postgres://user:password@localhost/db",
        "def login(user: str, password: str = '') -> Token:",
        "sort_key = lambda item: item.long_attribute_name_v2",
        "sk-your-key-here-please-do-not-forget",
        "for key in sorted(dictionary_of_everything_2024.items()):",
        'src="data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4"',
    ],
)
def test_what_opens_nothing_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_a_private_key_goes_as_a_whole() -> None:
    body = "\n".join(hashlib.sha512(bytes([line])).hexdigest()[:64] for line in range(20))
    block = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
    assert found(f"see\n{block}\nend") == [block]
    assert found(f"{block}\n{block}") == [block, block]
    cut = block[: len(block) // 2]
    assert found(f"{cut}\n") == [f"{cut}\n"], "what has no end is a key all the same"
    assert found(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----") == []


def test_a_key_longer_than_the_limit_is_found_up_to_it() -> None:
    for end in ("", "-----END PRIVATE KEY-----"):
        (finding,) = SECRETS.find("-----BEGIN PRIVATE KEY-----\n" + "Ab3/" * 10_000 + end)
        assert finding.end - finding.start <= SECRETS.longest
        assert finding.start == 0
