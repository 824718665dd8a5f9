"""API keys: made, given a new secret, revoked. The secret is shown once; only a keyed hash of it is kept.

A key is `ls-ID-SECRET`: an id of 10 characters, which may be known, and a secret of 256 random bits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loresmith.errors import UserError
from loresmith.ledger.clock import written
from loresmith.ledger.credentials import Credential, Credentials
from loresmith.serving.identity.principal import is_principal
from loresmith.serving.identity.server_key import make_server_key, read_server_key

PREFIX = "ls-"

_ID_BYTES = 6
_SECRET_BYTES = 32
_LONGEST = 200


class Keys:
    """The API keys of one workspace.

    Args:
        credentials: the ledger's.
        server_key: the file that hashes are keyed with; made when the first key is.
    """

    def __init__(self, credentials: Credentials, server_key: Path) -> None:
        self._credentials = credentials
        self._server_key = server_key

    def create(self, principal: str, groups: Sequence[str], expires: timedelta, reason: str) -> tuple[Credential, str]:
        """Make a key.

        Args:
            principal: whom it speaks for: `user:ada`, `service:crm`.
            groups: groups that it brings, besides those that list the principal.
            expires: how long it is good.
            reason: why; on the record.

        Returns:
            What is on the record, and the key, which is nowhere else.

        Raises:
            UserError: the principal is not one, or there is no reason.
        """
        if not is_principal(principal):
            raise UserError(
                f"{principal!r} is nobody: a key is for `user:NAME` or `service:NAME`",
                hint="letters, digits and . _ @ + : / | = -",
            )
        server_key = make_server_key(self._server_key)
        key, secret = _random_id(), secrets.token_urlsafe(_SECRET_BYTES)
        until = _after(expires)
        created = self._credentials.create(key, principal, groups, keyed_hash(server_key, key, secret), until, reason)
        return created, f"{PREFIX}{key}-{secret}"

    def rotate(
        self, key: str, grace: timedelta, reason: str, expires: timedelta | None = None
    ) -> tuple[Credential, str]:
        """Give a key a new secret.

        Args:
            grace: how long the one before it is good as well; nought ends it at once.
            expires: how long the key is good from now on; as before if None.

        Raises:
            UserError: there is no such key, it was revoked, or there is no reason.
        """
        server_key = read_server_key(self._server_key)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        rotated = self._credentials.rotate(
            key,
            keyed_hash(server_key, key, secret),
            _after(grace),
            reason,
            expires_at=None if expires is None else _after(expires),
        )
        return rotated, f"{PREFIX}{key}-{secret}"

    def revoke(self, key: str, reason: str) -> Credential:
        """Make a key worthless; gateways know within 5 seconds.

        Raises:
            UserError: there is no such key, it was revoked already, or there is no reason.
        """
        return self._credentials.revoke(key, reason)

    def list(self, *, revoked: bool = False) -> list[Credential]:
        """The keys, the oldest first; with those that were revoked if asked for."""
        return self._credentials.list(revoked=revoked)


def split_key(text: str) -> tuple[str, str] | None:
    """Id and secret of what may be a key; None for what cannot be one."""
    if not text.startswith(PREFIX) or len(text) > _LONGEST:
        return None
    key, dash, secret = text.removeprefix(PREFIX).partition("-")
    return (key, secret) if key and dash and secret else None


def keyed_hash(server_key: bytes, key: str, secret: str) -> str:
    """What is kept of a secret: HMAC-SHA256 under the workspace's server key, bound to the key's id."""
    return hmac.new(server_key, f"{key}\n{secret}".encode(), hashlib.sha256).hexdigest()


def _random_id() -> str:
    return base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode().rstrip("=").lower()


def _after(span: timedelta) -> str:
    return written(datetime.now(UTC) + span)
