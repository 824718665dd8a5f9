"""The one way in which Loresmith names content: SHA-256 over bytes, and over RFC 8785 canonical JSON for values."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from loresmith.errors import UserError

_FULL = re.compile(r"[0-9a-f]{64}")


def canonical_json(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value: equal values give equal bytes on every machine.

    Raises:
        UserError: the value has no canonical form: NaN or an infinity, an integer beyond 2**53 - 1, text that is not
            Unicode, a key that is not text, or something that JSON does not know.
    """
    if _is_simple(value):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    import rfc8785

    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise UserError(
            f"this value cannot be written as canonical JSON: {error}",
            hint="numbers must be finite, whole ones below 2**53, and larger ones written as text",
        ) from error


def _is_simple(value: Any) -> bool:
    """Whether the standard library writes the value as RFC 8785 wants it, and several times faster.

    They differ in fractions, in the order of keys beyond ASCII, and in what they refuse.
    """
    if isinstance(value, str):  # or of a kind of its own, as names of columns are
        return value.isascii()
    kind = type(value)
    if kind is dict:  # in a loop, since a generator for each dict takes twice as long
        for key, each in value.items():
            if not isinstance(key, str) or not key.isascii():
                return False
            if not _is_simple(each):
                return False
        return True
    if kind is list:
        return all(map(_is_simple, value))
    if kind is int:
        return bool(-(2**53) < value < 2**53)
    return value is None or kind is bool


def parse_json(text: str | bytes) -> Any:
    """Read what `canonical_json` wrote. Raises ValueError if it is not JSON.

    A large float stands there without a fraction, and is read as the float it was: no integer is that large.
    """
    return json.loads(text, parse_int=_parse_number)


def _parse_number(digits: str) -> int | float:
    number = int(digits)
    return number if abs(number) < 2**53 else float(digits)


def digest_bytes(data: bytes) -> str:
    """The SHA-256 of bytes, 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """The digest of a JSON value, through its canonical form (errors as `canonical_json`)."""
    return digest_bytes(canonical_json(value))


def digest_file(path: Path | str) -> str:
    """The digest of a file's bytes, read in pieces. Raises OSError as `open` does."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_digest(text: str) -> bool:
    """Whether this is a whole digest: 64 lower-case hexadecimal digits."""
    return _FULL.fullmatch(text) is not None
