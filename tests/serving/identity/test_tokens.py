"""Bearer tokens: the ways in which tokens are forged, and that none of them opens."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from loresmith.errors import UserError
from loresmith.ledger import Ledger
from loresmith.serving.identity.authenticator import Authenticator
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.issuer_keys import (
    ASKED_AGAIN_SECONDS,
    LONGEST_SECONDS,
    READ_AGAIN_SECONDS,
    IssuerKeys,
)
from loresmith.serving.identity.settings import GroupSettings, IdentitySettings
from loresmith.serving.identity.tokens import LARGEST, Tokens
from loresmith.serving.identity.unauthenticated import Unauthenticated, UnknownSigningKey
from tests.serving.identity.test_keys import MovedClock, ledger  # noqa: F401

ISSUER = "https://login.example.org/"
GROUPS = Groups({"physicians": GroupSettings(members=("user:lee",), labels=("clinical",)), "admins": GroupSettings()})

OURS = rsa.generate_private_key(65537, 2048)
THEIRS = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()


def jwk(private: Any, kid: str, **more: str) -> dict[str, Any]:
    kinds = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    kind = next((found for base, found in kinds.items() if isinstance(private, base)), OKPAlgorithm)
    return {**json.loads(kind.to_jwk(private.public_key())), "kid": kid, **more}


KEYS = [jwk(OURS, "ours", alg="RS256", use="sig"), jwk(CURVE, "curve"), jwk(EDWARDS, "edwards")]


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    said = {
        "iss": ISSUER,
        "aud": "gateway",
        "sub": "ada",
        "iat": now,
        "exp": now + 300,
        "jti": "7",
        "groups": ["physicians"],
    }
    return {name: value for name, value in {**said, **changes}.items() if value is not None}


def token(
    key: Any = OURS, algorithm: str = "RS256", kid: str | None = "ours", header: Mapping[str, Any] = {}, **changes: Any
) -> str:
    named = {"kid": kid} if kid else {}
    return jwt.encode(claims(**changes), key, algorithm, headers={**named, **header})


def raw(header: Mapping[str, Any], payload: Any, signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def tokens(tmp_path: Path, keys: list[dict[str, Any]] = KEYS, **settings: Any) -> Tokens:
    (tmp_path / "keys.json").write_text(json.dumps({"keys": keys}))
    issuer = {"issuer": ISSUER, "audiences": ["gateway", "other"], "keys": "keys.json", **settings}
    return Tokens(IdentitySettings.model_validate({"tokens": [issuer]}).tokens, tmp_path)


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [
        (OURS, "RS256", "ours"),
        (CURVE, "ES256", "curve"),
        (EDWARDS, "EdDSA", "edwards"),
        (CURVE, "ES256", None),
        (OURS, "RS256", None),
    ],
)
def test_a_good_token_says_who_brings_it(tmp_path: Path, key: Any, algorithm: str, kid: str | None) -> None:
    caller = tokens(tmp_path).principal(token(key, algorithm, kid), GROUPS)
    assert (caller.id, caller.groups, caller.labels) == ("user:ada", ("physicians",), {"clinical"})
    assert caller.credential == f"{ISSUER}#7"


PUBLIC = OURS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def confused(algorithm: str = "HS256", key: bytes = PUBLIC) -> str:
    """Signed with a secret that everybody knows: the public key."""
    unsigned = raw({"alg": algorithm, "typ": "JWT", "kid": "ours"}, claims()).rsplit(".", 1)[0]
    digest = getattr(hashlib, f"sha{algorithm[2:]}")
    signature = hmac.new(key, unsigned.encode(), digest).digest()
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def swapped() -> str:
    header, _, signature = token().split(".")
    payload = base64.urlsafe_b64encode(json.dumps(claims(sub="root")).encode()).rstrip(b"=").decode()
    return f"{header}.{payload}.{signature}"


FORGED = {
    "no algorithm": lambda: raw({"alg": "none", "typ": "JWT"}, claims()),
    "no algorithm, in capitals": lambda: raw({"alg": "NONE", "kid": "ours"}, claims()),
    "no algorithm, mixed": lambda: raw({"alg": "nOnE", "kid": "ours"}, claims()),
    "an empty algorithm": lambda: raw({"alg": "", "kid": "ours"}, claims()),
    "no algorithm at all": lambda: raw({"typ": "JWT", "kid": "ours"}, claims()),
    "an algorithm that is a list": lambda: raw({"alg": ["RS256"], "kid": "ours"}, claims()),
    "no signature": lambda: token().rsplit(".", 1)[0] + ".",
    "the public key as a secret": confused,
    "the public key as a secret, HS512": lambda: confused("HS512"),
    "the public key's modulus as a secret": lambda: confused(key=KEYS[0]["n"].encode()),
    "an empty secret": lambda: confused(key=b""),
    "another's key": lambda: token(THEIRS),
    "another's key, and no key id": lambda: token(THEIRS, kid=None),
    "another's key in the header": lambda: token(THEIRS, header={"jwk": jwk(THEIRS, "ours")}),
    "another's key by URL": lambda: token(THEIRS, header={"jku": "https://evil.example/keys.json"}),
    "another's certificate by URL": lambda: token(THEIRS, header={"x5u": "https://evil.example/cert.pem"}),
    "a key id that is a path": lambda: token(THEIRS, kid="../../../../dev/null"),
    "a key id that is SQL": lambda: token(THEIRS, kid="' UNION SELECT 'x"),
    "a curve's key id with RSA": lambda: token(OURS, kid="curve"),
    "an algorithm that is not taken": lambda: token(OURS, "RS512"),
    "an algorithm that the key is not for": lambda: token(OURS, "PS256"),
    "claims changed under the signature": swapped,
    "another audience": lambda: token(aud="somebody else"),
    "audiences without ours": lambda: token(aud=["a", "b"]),
    "no audience": lambda: token(aud=None),
    "part of our audience": lambda: token(aud="gate"),
    "another issuer": lambda: token(iss="https://evil.example/"),
    "an issuer that begins like ours": lambda: token(iss=ISSUER + ".evil.example"),
    "no issuer": lambda: token(iss=None),
    "an issuer that is a list": lambda: raw({"alg": "RS256", "kid": "ours"}, claims(iss=[ISSUER]), b"x" * 256),
    "expired": lambda: token(exp=int(time.time()) - 60),
    "no expiry": lambda: token(exp=None),
    "an expiry that is no number": lambda: token(exp="never"),
    "an expiry that is infinite": lambda: token(exp=float("inf")),
    "not yet good": lambda: token(nbf=int(time.time()) + 600),
    "issued in the future": lambda: token(iat=int(time.time()) + 600),
    "issued never": lambda: token(iat=None),
    "issued long ago, good for ever": lambda: token(iat=int(time.time()) - 90_000, exp=2**40),
    "nobody": lambda: token(sub=None),
    "an empty name": lambda: token(sub=""),
    "a name that is a number": lambda: token(sub=7),
    "a name that is everybody's": lambda: token(sub="*"),
    "a name with a line end": lambda: token(sub="ada\n"),
    "groups that are no list": lambda: token(groups={"physicians": True}),
    "groups that are no texts": lambda: token(groups=[["physicians"]]),
    "a critical extension": lambda: token(header={"crit": ["exp"], "exp": 1}),
    "a detached payload": lambda: raw({"alg": "RS256", "kid": "ours", "b64": False, "crit": ["b64"]}, claims()),
    "another type of token": lambda: token(header={"typ": "logout+jwt"}),
    "five parts, encrypted": lambda: "a.b.c.d.e",
    "two parts": lambda: token().rsplit(".", 1)[0],
    "a payload that is a list": lambda: raw({"alg": "RS256", "kid": "ours"}, [1], b"x" * 256),
    "a header that is a list": lambda: raw([], claims()),  # type: ignore[arg-type]
    "no JSON": lambda: "e30.e30e30e.e30",
    "nested without end": lambda: raw({"alg": "RS256"}, {}).replace(".", ".W1tbW1tbW1tbW1tbW1tbW1tb" * 400 + ".", 1),
    "too large": lambda: token(pad="x" * LARGEST),
}


@pytest.mark.parametrize("attack", FORGED)
def test_no_forged_token_opens(tmp_path: Path, attack: str) -> None:
    trusted = tokens(tmp_path)
    with pytest.raises(Unauthenticated) as refused:
        trusted.principal(FORGED[attack](), GROUPS)
    assert str(refused.value) == "not authenticated"
    assert refused.value.reason


def test_every_bit_of_the_signature_counts(tmp_path: Path) -> None:
    trusted = tokens(tmp_path)
    head, _, signature = token(CURVE, "ES256", "curve").rpartition(".")
    good = base64.urlsafe_b64decode(signature + "==")
    for place in range(0, len(good), 7):
        bad = bytearray(good)
        bad[place] ^= 1
        with pytest.raises(Unauthenticated):
            trusted.principal(f"{head}.{base64.urlsafe_b64encode(bytes(bad)).rstrip(b'=').decode()}", GROUPS)


def test_clocks_may_differ_by_the_leeway_and_no_more(tmp_path: Path) -> None:
    trusted = tokens(tmp_path, leeway_seconds=30)
    now = int(time.time())
    assert trusted.principal(token(exp=now - 10), GROUPS)
    assert trusted.principal(token(iat=now + 10, nbf=now + 10), GROUPS)
    with pytest.raises(Unauthenticated):
        tokens(tmp_path, leeway_seconds=0).principal(token(exp=now - 10), GROUPS)


def test_a_clock_that_is_set_back_brings_no_token_back(tmp_path: Path) -> None:
    clock = MovedClock()
    issuer = {"issuer": ISSUER, "audiences": ["gateway"], "keys": "keys.json", "longest_hours": 1}
    (tmp_path / "keys.json").write_text(json.dumps({"keys": KEYS}))
    trusted = Tokens(IdentitySettings.model_validate({"tokens": [issuer]}).tokens, tmp_path, clock.now)
    brief, long = token(), token(exp=int(time.time()) + 10 * 86_400)
    for one in (brief, long):
        trusted.principal(one, GROUPS)
    clock.passed, clock.set_by = 600, -600  # ten minutes later it shows what it showed before
    with pytest.raises(Unauthenticated):
        trusted.principal(brief, GROUPS)
    trusted.principal(long, GROUPS)
    clock.passed, clock.set_by = 2 * 3600, -2 * 3600
    with pytest.raises(Unauthenticated):
        trusted.principal(long, GROUPS)


def test_groups_are_those_that_are_mapped_and_declared(tmp_path: Path) -> None:
    said = token(groups=["DL-Ward7", "admins", "root"])
    assert tokens(tmp_path).principal(said, GROUPS).groups == ("admins",)
    assert tokens(tmp_path, groups={"DL-Ward7": "physicians"}).principal(said, GROUPS).groups == ("physicians",)
    assert tokens(tmp_path, groups_claim="roles").principal(token(roles="admins"), GROUPS).groups == ("admins",)


def test_who_it_is_comes_from_the_claim_that_was_chosen(tmp_path: Path) -> None:
    chosen = tokens(tmp_path, principal="service", principal_claim="client", prefix="idp-")
    assert chosen.principal(token(client="crm"), GROUPS).id == "service:idp-crm"
    assert tokens(tmp_path, prefix="x-").principal(token(sub="lee", groups=[]), GROUPS).groups == ()  # not our Lee


def test_tokens_without_an_id_are_told_apart(tmp_path: Path) -> None:
    trusted = tokens(tmp_path)
    one, other = (trusted.principal(token(jti=None, sub=name), GROUPS).credential for name in ("ada", "bea"))
    assert one != other
    assert one.startswith(f"{ISSUER}#")


@pytest.mark.parametrize(
    "key",
    [
        jwk(OURS, "ours", use="enc"),
        jwk(OURS, "ours", alg="RS512"),
        {"kty": "oct", "kid": "ours", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "ours", "n": "!!", "e": "AQAB"},
        {"kty": "RSA", "kid": "ours", "n": 7, "e": "AQAB"},
        {"kty": ["RSA"], "kid": "ours"},
    ],
    ids=["for encryption", "for another algorithm", "a secret", "broken", "no text", "no kind"],
)
def test_keys_that_cannot_check_are_as_if_not_there(tmp_path: Path, key: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        tokens(tmp_path, [key]).principal(token(), GROUPS)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_weak_key_is_as_if_not_there(tmp_path: Path) -> None:
    weak = rsa.generate_private_key(65537, 1024)
    with pytest.raises(UnknownSigningKey):
        tokens(tmp_path, [jwk(weak, "ours")]).principal(token(weak), GROUPS)


def test_a_token_without_a_key_id_is_not_guessed_at(tmp_path: Path) -> None:
    keys = [jwk(THEIRS, "a"), jwk(OURS, "b")]
    with pytest.raises(UnknownSigningKey):
        tokens(tmp_path, keys).principal(token(kid=None), GROUPS)


def test_key_files_must_be_there_and_urls_safe(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        IssuerKeys("nothing.json", tmp_path)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(UserError, match="not a key set"):
        IssuerKeys("list.json", tmp_path)
    for url in ("http://login.example.org/keys", "file:///etc/keys.json", "ftp://login.example.org/keys"):
        with pytest.raises(UserError, match="https"):
            IssuerKeys(url, tmp_path)


class Issuer:
    """A server with keys, on this machine."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self.redirect = ""
        self.raw: bytes | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                if outer.raw is not None:
                    self.wfile.write(outer.raw)
                    return
                self.send_response(302 if outer.redirect and self.path == "/keys" else 200)
                if outer.redirect:
                    self.send_header("Location", outer.redirect)
                self.end_headers()
                self.wfile.write(json.dumps({"keys": outer.keys}).encode())

            def log_message(self, *_words: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_keys_are_read_again_when_a_token_names_a_new_one_once_a_minute(issuer: Issuer, tmp_path: Path) -> None:
    seconds = [0.0]
    keys = IssuerKeys(issuer.url, tmp_path, lambda: seconds[0])
    assert keys.find("RS256", "ours") is None
    assert not keys.may_ask
    seconds[0] += ASKED_AGAIN_SECONDS + 1
    assert keys.may_ask
    assert not keys.due
    seconds[0] += READ_AGAIN_SECONDS
    assert keys.due
    issuer.keys = KEYS
    keys.read()
    assert keys.find("RS256", "ours") is not None
    assert issuer.asked == 2


def test_a_redirect_is_not_followed(issuer: Issuer, tmp_path: Path) -> None:
    issuer.keys, issuer.redirect = KEYS, f"{issuer.url}/elsewhere"
    keys = IssuerKeys(issuer.url, tmp_path)
    assert issuer.asked == 1
    assert "302" in keys.problem


def test_keys_that_are_known_outlive_an_issuer_that_is_not_there(issuer: Issuer, tmp_path: Path) -> None:
    issuer.keys = KEYS
    keys = IssuerKeys(issuer.url, tmp_path)
    issuer.server.shutdown()
    issuer.server.server_close()
    keys.read()
    assert keys.problem
    assert keys.find("RS256", "ours") is not None


def test_keys_that_cannot_be_read_for_a_day_open_nothing(issuer: Issuer, tmp_path: Path) -> None:
    """The issuer may have withdrawn them long ago."""
    seconds = [0.0]
    issuer.keys = KEYS
    keys = IssuerKeys(issuer.url, tmp_path, lambda: seconds[0])
    seconds[0] = LONGEST_SECONDS
    assert keys.find("RS256", "ours") is not None
    seconds[0] += 1
    assert keys.find("RS256", "ours") is None
    keys.read()
    assert keys.find("RS256", "ours") is not None


@pytest.mark.parametrize(
    "answer", [b"what?", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{", b"\xff" * 70_000, b""]
)
def test_whatever_an_issuer_answers_its_keys_are_asked_for_again(
    issuer: Issuer, tmp_path: Path, caplog: pytest.LogCaptureFixture, answer: bytes
) -> None:
    seconds = [0.0]
    issuer.keys = KEYS
    keys = IssuerKeys(issuer.url, tmp_path, lambda: seconds[0])
    issuer.raw = answer
    for _ in range(2):
        keys.read()
        assert "cannot be read" in keys.problem
        assert keys.find("RS256", "ours") is not None
    assert len(caplog.records) == 1
    issuer.raw = None
    keys.read()
    assert not keys.problem


def test_a_new_key_of_the_issuers_is_found_by_the_request_that_needs_it(
    issuer: Issuer,
    ledger: Ledger,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = {"issuer": ISSUER, "audiences": ["gateway"], "keys": issuer.url}
    settings = IdentitySettings.model_validate({"tokens": [written]})
    known = Authenticator(settings, GROUPS, ledger.credentials, tmp_path / "credentials.key")
    header = f"Bearer {token()}"
    with pytest.raises(UnknownSigningKey):  # the keys have just been read: not again within a minute
        asyncio.run(known.authenticated(header))
    assert issuer.asked == 1
    issuer.keys = KEYS
    monkeypatch.setattr("loresmith.serving.identity.issuer_keys.ASKED_AGAIN_SECONDS", -1.0)

    async def many() -> list[str]:
        return [caller.id for caller in await asyncio.gather(*(known.authenticated(header) for _ in range(20)))]

    assert asyncio.run(many()) == ["user:ada"] * 20
    assert issuer.asked == 2  # twenty requests, one question


def of_issuer(keys: str, **more: Any) -> IdentitySettings:
    return IdentitySettings.model_validate(
        {"tokens": [{"issuer": ISSUER, "audiences": ["gateway"], "keys": keys, **more}]}
    )


def test_an_issuer_that_a_reload_brings_is_followed(
    issuer: Issuer,
    ledger: Ledger,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("loresmith.serving.identity.authenticator.POLL_SECONDS", 0.02)
    monkeypatch.setattr("loresmith.serving.identity.issuer_keys.READ_AGAIN_SECONDS", -1.0)
    monkeypatch.setattr("loresmith.serving.identity.issuer_keys.ASKED_AGAIN_SECONDS", -1.0)
    known = Authenticator(IdentitySettings(), GROUPS, ledger.credentials, tmp_path / "credentials.key")
    known.start()
    try:
        settings = of_issuer(issuer.url)
        tokens = known.prepare(settings)
        issuer.keys = KEYS  # published after they were first read
        known.reload(settings, GROUPS, tokens)
        deadline = time.monotonic() + 30
        while issuer.asked < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert known.authenticate(f"Bearer {token()}").id == "user:ada"
    finally:
        known.close()


def test_what_is_known_of_an_issuer_outlives_a_change_of_its_settings(issuer: Issuer, tmp_path: Path) -> None:
    """It may not be there just then."""
    issuer.keys = KEYS
    before = Tokens(of_issuer(issuer.url).tokens)
    issuer.server.shutdown()
    issuer.server.server_close()
    after = Tokens(of_issuer(issuer.url, prefix="idp-").tokens, before=before)
    assert after.principal(token(), GROUPS).id == "user:idp-ada"
    assert before.principal(token(), GROUPS).id == "user:ada"
    # A file is there, and may say something else by now.
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": KEYS}))
    before = Tokens(of_issuer("keys.json").tokens, tmp_path)
    file.write_text(json.dumps({"keys": [jwk(THEIRS, "ours")]}))
    with pytest.raises(Unauthenticated):
        Tokens(of_issuer("keys.json", prefix="idp-").tokens, tmp_path, before=before).principal(token(), GROUPS)


def test_keys_grow_old_while_the_machine_is_suspended(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.keys = KEYS
    keys = IssuerKeys(issuer.url, tmp_path)
    assert keys.find("RS256", "ours") is not None
    real = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + LONGEST_SECONDS + 1)
    assert keys.find("RS256", "ours") is None
