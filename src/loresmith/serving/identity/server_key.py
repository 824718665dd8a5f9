"""What API keys' hashes are keyed with: 32 random bytes in a file beside the ledger's signing key."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from loresmith.errors import Failure
from loresmith.ledger.faults import file_faults

NAME = "credentials.key"
"""The file in the workspace's state folder. Without it every API key is worthless; with it, and the ledger, hashes of
secrets can be computed, but secrets of 256 bits cannot be guessed."""

_BYTES = 32


def make_server_key(path: Path) -> bytes:
    """The key at `path`, made (mode 0600) if there is none. Of several that make it at once, all end with the same."""
    with file_faults(path):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            staged = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
            descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(secrets.token_bytes(_BYTES))
                    file.flush()
                    os.fsync(descriptor)
                with suppress(FileExistsError):
                    os.link(staged, path)
            finally:
                staged.unlink()
    return read_server_key(path)


def read_server_key(path: Path) -> bytes:
    """The key at `path`.

    Raises:
        Failure: it is missing, damaged, or others than its owner may read it.
    """
    if not path.exists():
        raise Failure(
            "the key that API keys are checked with is missing",
            where=str(path),
            hint="restore it from a backup; without it, revoke all keys and make new ones",
        )
    with file_faults(path):
        mode, key = path.stat().st_mode, path.read_bytes()
    if mode & 0o077:
        raise Failure("others than its owner may read this key", where=str(path), hint=f"chmod 600 {path}")
    if len(key) != _BYTES:
        raise Failure(f"this is not a key of {_BYTES} bytes", where=str(path))
    return key
