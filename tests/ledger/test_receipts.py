"""A receipt can be checked by anyone who has the public key and knows the standards, and cannot be changed."""

from __future__ import annotations

import json
import stat
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from loresmith.errors import Failure, UserError
from loresmith.ledger import Ledger, Receipt
from tests.ledger.places import Place, add_asset
from tests.ledger.processes import together

EVIDENCE = {"cases": 500, "difference": 2.5e-7, "note": "ünï", "nested": {"list": [1, None]}}


@pytest.fixture
def receipt(ledger: Ledger, place: Place) -> Receipt:
    return ledger.receipts.add(add_asset(ledger, place, "model").digest, "template-parity", True, EVIDENCE)


def test_a_receipt_says_what_was_checked(ledger: Ledger, receipt: Receipt) -> None:
    assert (receipt.kind, receipt.passed, receipt.evidence) == ("template-parity", True, EVIDENCE)
    assert receipt.actor == "ada@host"
    failed = ledger.receipts.add(receipt.subject, "gate", False, {})
    assert ledger.receipts.list(receipt.subject) == [receipt, failed]
    assert ledger.receipts.list("0" * 64) == []
    for each in (receipt, failed):
        ledger.receipts.verify(each)


def test_it_is_an_in_toto_statement_in_a_dsse_envelope(place: Place, receipt: Receipt) -> None:
    """Checked with the standards and a public key alone."""
    payload = b64decode(receipt.envelope["payload"])
    kind = receipt.envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    public = load_pem_public_key((place.folder / "key.pem.pub").read_bytes())
    assert isinstance(public, Ed25519PublicKey)
    public.verify(b64decode(receipt.envelope["signatures"][0]["sig"]), signed)
    with pytest.raises(InvalidSignature):
        public.verify(b64decode(receipt.envelope["signatures"][0]["sig"]), signed + b" ")
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"][0]["digest"] == {"sha256": receipt.subject}
    assert statement["predicateType"] == "https://loresmith.dev/receipt/v1"
    assert statement["predicate"] == {
        "kind": "template-parity",
        "passed": True,
        "evidence": EVIDENCE,
        "actor": "ada@host",
        "at": receipt.at,
    }


def test_a_receipt_that_says_something_else_does_not_hold(ledger: Ledger, receipt: Receipt) -> None:
    other = {"subject": "0" * 64, "kind": "gate", "passed": False, "evidence": {}, "actor": "eve", "at": "never"}
    for name, value in other.items():
        with pytest.raises(Failure, match=f"another {name} than was signed"):
            ledger.receipts.verify(receipt.model_copy(update={name: value}))


def test_a_changed_envelope_does_not_hold(ledger: Ledger, receipt: Receipt) -> None:
    envelope = receipt.envelope
    payload = json.loads(b64decode(envelope["payload"]))
    payload["predicate"]["passed"] = False
    forged = b64encode(json.dumps(payload).encode()).decode()
    signature = {**envelope["signatures"][0], "sig": b64encode(bytes(64)).decode()}
    changed: list[dict[str, Any]] = [
        {**envelope, "payload": forged},
        {**envelope, "payloadType": "text/plain"},
        {**envelope, "signatures": [signature]},
        {**envelope, "signatures": []},
        {**envelope, "signatures": "none"},
        {},
    ]
    for forgery in changed:
        with pytest.raises(Failure):
            ledger.receipts.verify(receipt.model_copy(update={"envelope": forgery}))


def test_another_workspaces_receipt_does_not_hold_here(ledger: Ledger, place: Place, receipt: Receipt) -> None:
    with place.open(key_file=place.folder / "other.pem", create=True) as other:
        theirs = other.receipts.add(receipt.subject, "gate", True, {})
        other.receipts.verify(theirs)
    with pytest.raises(Failure, match="does not hold under this workspace's key"):
        ledger.receipts.verify(theirs)


def test_the_private_key_is_for_its_owner_only_and_never_replaced(
    ledger: Ledger, place: Place, receipt: Receipt
) -> None:
    assert stat.S_IMODE(place.key_file.stat().st_mode) == 0o600
    before = place.key_file.read_bytes()
    place.open(create=True).close()
    assert place.key_file.read_bytes() == before


def test_a_lost_public_key_is_made_again(ledger: Ledger, place: Place, receipt: Receipt) -> None:
    (place.folder / "key.pem.pub").unlink()
    with pytest.raises(Failure):
        ledger.receipts.verify(receipt)
    place.open(create=True).close()
    ledger.receipts.verify(receipt)


def test_receipts_can_be_checked_without_the_private_key(ledger: Ledger, place: Place, receipt: Receipt) -> None:
    place.key_file.unlink()
    ledger.receipts.verify(receipt)
    with pytest.raises(Failure, match="no key to sign with"):
        ledger.receipts.add(receipt.subject, "gate", True, {})


def test_a_key_that_is_none_is_named(ledger: Ledger, place: Place, receipt: Receipt) -> None:
    place.key_file.write_text("what")
    with pytest.raises(Failure, match="not a private key"):
        ledger.receipts.add(receipt.subject, "gate", True, {})
    public = place.folder / "key.pem.pub"
    public.chmod(0o644)
    public.write_text("what")
    with pytest.raises(Failure, match="not a public key"):
        ledger.receipts.verify(receipt)


def test_a_receipt_is_about_an_asset(ledger: Ledger) -> None:
    with pytest.raises(UserError, match="there is no asset"):
        ledger.receipts.add("0" * 64, "gate", True, {})


def test_processes_that_make_the_key_at_once_end_with_one(place: Place, tmp_path: Path) -> None:
    def make(_number: int) -> bytes:
        with place.open(key_file=tmp_path / "new" / "key.pem", create=True):
            return (tmp_path / "new" / "key.pem").read_bytes()

    assert len(set(together(make, [(number,) for number in range(4)]))) == 1
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["key.pem", "key.pem.pub"]
