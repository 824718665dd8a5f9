"""An alias is the same for the same person however written, another for another key, readable, and nobody's."""

from __future__ import annotations

import re

import pytest

from benchmarks.data.labelled_text import labelled_set
from benchmarks.data.labelled_values import with_luhn
from loresmith.data.privacy.findings import Finding
from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.privacy.replacement import replacement
from loresmith.data.privacy.rules import PrivacyRules

USUAL = Recognisers(PrivacyRules())
KEY, OTHER = b"one key of the operator", b"another key of the operator"


def alias(text: str, key: bytes = KEY) -> str:
    (finding,) = USUAL.find(text)
    return replacement(finding, text, "pseudonymise", key)


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "Ada.Lovelace@Example.org",
            "mail ada.lovelace@example.org",
            "ＡＤＡ.lovelace@example.org",
            "ada.love\u200blace@example.org",
        ),
        ("+49 30 1234567", "0049 30 1234567", "Tel. 030/1234567", "+49 (0)30 123-4567", "+４９ 30 1234567"),
        ("(212) 736-5000", "+1 212 736 5000", "phone 1-212-736-5000"),
        (
            "DE89 3704 0044 0532 0130 00",
            "DE89370400440532013000",
            "de89-3704-0044-0532-0130-00",
            "DE89 3704 0044\n0532 0130 00",
        ),
        ("4111 1111 1111 1111", "4111-1111-1111-1111", "card 4111111111111111"),
        (
            "Herr Jürgen Möller",
            "Frau Jürgen  Möller".replace("  ", " "),
            "Herr Ju\u0308rgen Mo\u0308ller",
            "Möller, Jürgen",
        ),
        ("00:1A:2B:3C:4D:5E", "00-1a-2b-3c-4d-5e", "MAC 001a.2b3c.4d5e"),
        ("2a00:1450:4001:81b::200e", "2A00:1450:4001:081B:0:0:0:200E"),
        ("Steuer-ID 86 095 742 719", "Steuer-ID 86095742719"),
    ],
)
def test_one_alias_for_all_spellings(spellings: tuple[str, ...]) -> None:
    assert len({alias(text) for text in spellings}) == 1, [alias(text) for text in spellings]


def test_aliases_of_two_keys_have_nothing_in_common() -> None:
    people = [
        f"Frau Anna {name}" for name in ("Berger", "Huber", "Kaiser", "Lang", "Moser", "Pichler", "Reiter", "Wolf")
    ]
    ours, theirs = [alias(person) for person in people], [alias(person, OTHER) for person in people]
    assert len({*ours, *theirs}) == 2 * len(people)
    assert sorted(range(8), key=ours.__getitem__) != sorted(range(8), key=theirs.__getitem__)


def test_the_same_value_as_another_kind_has_another_alias() -> None:
    secret, person = (Finding(0, 3, kind, 1.0, "") for kind in ("secret", "name"))
    drawn = {replacement(finding, "ada", "pseudonymise", KEY)[-8:] for finding in (secret, person)}
    assert len(drawn) == 2


def test_what_aliases_look_like() -> None:
    assert alias("ada@example.org").startswith("user-")
    assert alias("ada@example.org").endswith("@example.invalid")
    assert alias("Herr Anna Berger").startswith("person-")
    assert re.fullmatch(r"\+1-[2-9]\d\d-555-01\d\d", alias("+49 30 1234567"))
    assert alias("DE89 3704 0044 0532 0130 00").startswith("DE00")
    assert len(alias("DE89 3704 0044 0532 0130 00")) == 22
    assert alias("Steuer-ID 86 095 742 719").startswith("national-id-")


@pytest.mark.parametrize("card", ["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "6011111111111117"])
def test_the_alias_of_a_card_fails_its_check(card: str) -> None:
    for key in (KEY, OTHER):
        digits = alias(card, key).replace(" ", "")
        assert digits != with_luhn(digits[:-1])


def test_aliases_are_found_by_nobody() -> None:
    """Otherwise a second pass would take them for people; and what they stand for is not in them."""
    everything = Recognisers(PrivacyRules(minimum_confidence=0.5))
    seen = 0
    for sample in labelled_set(9, 30):
        for finding in USUAL.find(sample.text):
            value = sample.text[finding.start : finding.end]
            written = replacement(finding, sample.text, "pseudonymise", KEY)
            assert written == replacement(finding, sample.text, "pseudonymise", KEY)
            assert value not in written
            again = sample.text[: finding.start] + written + sample.text[finding.end :]
            around = [
                found
                for found in everything.find(again)
                if found.start < finding.start + len(written) and found.end > finding.start
            ]
            assert around == [], (finding.kind, again)
            seen += 1
    assert seen > 500


def test_masks() -> None:
    text = "Tel. 030/1234567"
    (finding,) = USUAL.find(text)
    assert replacement(finding, text, "mask", b"") == "[PHONE]"
    with pytest.raises(ValueError, match="key"):
        replacement(finding, text, "pseudonymise", b"")
