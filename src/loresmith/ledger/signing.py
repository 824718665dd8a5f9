"""The workspace's Ed25519 key, and DSSE envelopes signed with it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from loresmith.errors import Failure
from loresmith.ledger.faults import file_faults


def make_key(path: Path) -> None:
    """Make a key pair, unless there is one: the private key at `path` (PKCS#8 PEM, mode 0600), the public beside it.

    Of several processes that make it at once, all end with the same one.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    with file_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            private = Ed25519PrivateKey.generate()
            pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _write_once(path, pem, 0o600)
        if not public_file(path).exists():
            public = _private_key(path).public_key()
            pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            _write_once(public_file(path), pem, 0o444)


def public_file(path: Path) -> Path:
    """Where the public key of the private key at `path` lies."""
    return path.with_name(path.name + ".pub")


def sign(payload: bytes, payload_type: str, key_file: Path) -> dict[str, Any]:
    """The DSSE envelope around a payload. Raises Failure if the key is missing or not readable."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

    envelope = Envelope(payload, payload_type, {})
    envelope.sign(CryptoSigner(_private_key(key_file)))
    said: dict[str, Any] = envelope.to_dict()
    return said


def verify(envelope: Mapping[str, Any], payload_type: str, key_file: Path) -> bytes:
    """The payload of a DSSE envelope that was signed with the key whose private half is (or was) at `key_file`.

    Raises:
        Failure: the envelope is malformed, signed by another key, or changed.
    """
    return verify_with(envelope, payload_type, public_file(key_file))


def verify_with(envelope: Mapping[str, Any], payload_type: str, public: Path) -> bytes:
    """As `verify`, with the file of the public key, which is all that somebody elsewhere needs."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import FormatError, VerificationError

    key = _public_key(public)
    try:
        parsed = Envelope.from_dict(json.loads(json.dumps(envelope)))
        parsed.verify([key], 1)
    except (FormatError, KeyError, TypeError, ValueError) as error:
        raise Failure("this is not a signed envelope") from error
    except VerificationError as error:
        signers = ", ".join(parsed.signatures) or "nobody"
        raise Failure(
            f"the signature does not hold under this workspace's key {key.keyid[:12]} (signed by {signers[:64]})",
            hint="the content was changed after it was signed, or another workspace signed it",
        ) from error
    if parsed.payload_type != payload_type:
        raise Failure(f"this envelope holds {parsed.payload_type}, not {payload_type}")
    return bytes(parsed.payload)


def _write_once(path: Path, content: bytes, mode: int) -> None:
    staged = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(staged, path)
    finally:
        staged.unlink()


def _private_key(path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not path.exists():
        raise Failure("there is no key to sign with", where=str(path), hint="`loresmith init` makes one")
    with file_faults(path):
        pem = path.read_bytes()
    try:
        return load_pem_private_key(pem, None)
    except ValueError as error:
        raise Failure("this is not a private key in PEM", where=str(path)) from error


def _public_key(path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

    with file_faults(path):
        pem = path.read_bytes()
    try:
        return SSlibKey.from_crypto(load_pem_public_key(pem))
    except ValueError as error:
        raise Failure("this is not a public key in PEM", where=str(path)) from error
