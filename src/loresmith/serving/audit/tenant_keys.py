"""The keys that tenants' content is encrypted with: made on first use, and destroyed for good on request.

A key is a file of 32 random bytes (mode 0600) in the workspace's state folder, called by a name that says nothing of
its tenant; the ledger says whose it is. To erase what a tenant's callers said is to destroy its key: the records stay,
and the log over them holds, but nobody can read their content again, in no copy and no backup of the ledger. A backup
of the keys' folder must go as well.
"""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.errors import Failure, UserError
from loresmith.ledger.faults import file_faults

if TYPE_CHECKING:
    from loresmith.ledger.tenant_keys import TenantKeys as KeyEvents

FOLDER = "tenant-keys"
"""Where the keys lie in the workspace's state folder."""

_FORMAT = b"\x01"
_NAME_BYTES = 8
_NONCE_BYTES = 12
_HEADER = len(_FORMAT) + _NAME_BYTES + _NONCE_BYTES


class ContentGoneError(Failure):
    """The content cannot be read: its key was destroyed, or is not here."""


@dataclass(frozen=True)
class Erased:
    """A tenant's key that was destroyed."""

    tenant: str
    key: str


class TenantKeys:
    """The keys in one folder, with their events in the ledger.

    Sealed content is the byte 1, the key's name (8 bytes), a random nonce (12 bytes) and AES-256-GCM ciphertext with
    its tag. Each record has a key of its own, HMAC-SHA256 of its id and phase under the tenant's key, so that the
    number of records under one tenant's key is not bounded by its nonces; id and phase are authenticated as well.

    Args:
        folder: where the files lie; made when the first key is.
        events: the ledger's `tenant_keys`.
    """

    def __init__(self, folder: Path, events: KeyEvents) -> None:
        self._folder = folder
        self._events = events
        self._seen: int | None = None
        self._current: dict[str, str] = {}
        self._bytes: dict[str, bytes] = {}

    def refresh(self) -> None:
        """Take note of what happened to the keys since, and let go of those that were destroyed. Cheap to call."""
        version = self._events.version()
        if version == self._seen:
            return
        self._current.clear()
        for event in self._events.list():
            if event.action == "made":
                self._current[event.tenant] = event.key
            else:
                self._current.pop(event.tenant, None)
                self._bytes.pop(event.key, None)
                # Whoever said that the key is to go may have been killed before it was gone.
                self._remove(event.key)
        self._seen = version

    def seal(self, tenant: str, record: str, phase: str, content: bytes) -> bytes:
        """Encrypt what was said, with the tenant's key, which is made where there is none.

        Args:
            record, phase: of the record that it belongs to; it opens for no other.

        Raises:
            Failure: the key cannot be made, or its file is gone.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if self._seen is None:
            self.refresh()
        name = self._current.get(tenant) or self._make(tenant)
        nonce, about = secrets.token_bytes(_NONCE_BYTES), _about(record, phase)
        sealed = AESGCM(_derived(self._key(name), about)).encrypt(nonce, content, about)
        return b"".join((_FORMAT, bytes.fromhex(name), nonce, sealed))

    def open(self, sealed: bytes, record: str, phase: str, *, refresh: bool = True) -> bytes:
        """Decrypt what `seal` made.

        Args:
            refresh: look first whether keys were destroyed since.

        Raises:
            ContentGoneError: the key was destroyed, or its file is not here.
            Failure: these bytes were changed, or belong to another record.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if sealed[:1] != _FORMAT or len(sealed) < _HEADER:
            raise Failure(f"the content of {record} is damaged: this is no sealed content")
        if refresh or self._seen is None:
            self.refresh()
        name = sealed[1 : 1 + _NAME_BYTES].hex()
        nonce, about = sealed[_HEADER - _NONCE_BYTES : _HEADER], _about(record, phase)
        try:
            return AESGCM(_derived(self._key(name), about)).decrypt(nonce, sealed[_HEADER:], about)
        except InvalidTag as error:
            raise Failure(f"the content of {record} is damaged, or belongs to another record") from error

    def destroy(self, tenant: str, because: str) -> Erased:
        """Make all content of a tenant unreadable for good. What it says later is encrypted with a new key.

        Raises:
            UserError: there is no reason, or the tenant has no key.
            Failure: the file could not be removed; the next use of the keys tries again.
        """
        name = self._events.destroyed(tenant, because)
        self._bytes.pop(name, None)
        self._remove(name)
        self.refresh()
        return Erased(tenant, name)

    def _make(self, tenant: str) -> str:
        if not tenant:
            raise UserError("content without a tenant cannot be encrypted")
        name = secrets.token_hex(_NAME_BYTES)
        with file_faults(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_key(self._file(name), secrets.token_bytes(32))
            # Somebody else may have made one in the meantime: theirs counts, and this one was never used.
            used = self._events.made(tenant, name, "first use")
            if used != name:
                self._remove(name)
        self._current[tenant] = used
        return used

    def _key(self, name: str) -> bytes:
        if name not in self._bytes:
            for event in self._events.list():
                if event.key == name and event.action == "destroyed":
                    raise ContentGoneError(
                        f"its key was destroyed on {event.at[:10]} by {event.actor}, because {event.reason}"
                    )
            try:
                key = self._file(name).read_bytes()
            except FileNotFoundError as error:
                raise ContentGoneError(
                    f"the key {name} is not here", where=str(self._folder), hint="it lies where it was made"
                ) from error
            except OSError as error:
                raise Failure(f"the key {name} cannot be read: {error.strerror}", where=str(self._folder)) from error
            if len(key) != 32:
                raise Failure(f"the key {name} is damaged", where=str(self._folder))
            self._bytes[name] = key
        return self._bytes[name]

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.key"

    def _remove(self, name: str) -> None:
        """Overwrite a key and remove it. Overwriting helps on some disks; that no copy exists is up to the operator."""
        file = self._file(name)
        with file_faults(file), suppress(FileNotFoundError):
            descriptor = os.open(file, os.O_WRONLY)
            try:
                os.write(descriptor, bytes(32))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            file.unlink()
            _sync_folder(self._folder)


def _about(record: str, phase: str) -> bytes:
    return f"{record}\n{phase}".encode()


def _derived(key: bytes, about: bytes) -> Any:
    return hmac.digest(key, b"loresmith content\n" + about, "sha256")


def _write_key(path: Path, key: bytes) -> None:
    """Write a key so that it is on the disk under its name, whole, or not at all."""
    staged = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    staged.rename(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
