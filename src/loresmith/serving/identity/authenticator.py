"""Says who asks, from the header `Authorization`.

API keys are kept in memory and looked up in the ledger again every second, in a thread: a request waits for no
database, and a key that was made or revoked is known everywhere within 5 seconds. If the ledger cannot be read for that
long, no API key is taken until it can.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from loresmith.ledger.clock import written
from loresmith.ledger.credentials import Credential, Credentials
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.issuer_keys import IssuerKeys
from loresmith.serving.identity.keys import PREFIX, keyed_hash, split_key
from loresmith.serving.identity.principal import Principal
from loresmith.serving.identity.server_key import read_server_key
from loresmith.serving.identity.settings import IdentitySettings
from loresmith.serving.identity.tokens import Tokens
from loresmith.serving.identity.unauthenticated import IdentityUnavailable, Unauthenticated, UnknownSigningKey
from loresmith.serving.wall_clock import WallClock

POLL_SECONDS = 1.0
STALE_SECONDS = 4.0
"""How old what is known of the keys may be; with a poll in between, a revocation holds within 5 seconds."""

_NO_HASH = "0" * 64

_LOG = logging.getLogger(__name__)


class Authenticator:
    """Checks credentials for one gateway. Its threads end with `close`.

    Args:
        credentials: the ledger's.
        server_key: the file that hashes of API keys are keyed with; needed once there are keys.
        folder: what relative files of the configuration start from.
        clock: seconds that pass.
        now: the time of day, by which keys and tokens expire.

    Raises:
        UserError: an issuer's keys cannot be read.
        Failure: the ledger cannot be read.
    """

    def __init__(
        self,
        settings: IdentitySettings,
        groups: Groups,
        credentials: Credentials,
        server_key: Path,
        folder: Path = Path(),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._settings = settings
        self._groups = groups
        self._credentials = credentials
        self._server_key_file = server_key
        self._server_key = b""
        self._clock = clock
        self._now = WallClock() if now is None else now
        self._tokens = Tokens(settings.tokens, folder, self._now)
        self._keys: Mapping[str, Credential] = {}
        self._version: int | None = None
        self._known_at = float("-inf")
        self._readings: dict[IssuerKeys, asyncio.Task[None]] = {}
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        if settings.keys:
            self.read_keys()

    def start(self) -> None:
        """Keep up with the ledger and the issuers, each in a thread: an issuer that does not answer delays nothing."""
        # Also where none are taken: a reload may change that.
        self._start("identity: keys", self._follow_ledger)
        self._start("identity: issuers", self._follow_issuers)

    def close(self) -> None:
        """End the threads."""
        self._closing.set()
        for thread in self._threads:
            thread.join(POLL_SECONDS)

    def prepare(self, settings: IdentitySettings, folder: Path = Path()) -> Tokens:
        """The issuers that `reload` is to go on with. Waits for those that are new, and for the ledger where keys are
        taken that were not, so not for an event loop.

        Raises:
            UserError: an issuer's keys cannot be read.
            Failure: the ledger cannot be read, or there are keys and the server key is missing.
        """
        tokens = self._tokens
        if settings.tokens != self._settings.tokens:
            tokens = Tokens(settings.tokens, folder, self._now, self._tokens)
        if settings.keys and not self._settings.keys:
            self.read_keys()
        return tokens

    def reload(self, settings: IdentitySettings, groups: Groups, tokens: Tokens) -> None:
        """Go on with another configuration.

        Args:
            tokens: of these settings, from `prepare`.
        """
        self._settings, self._groups, self._tokens = settings, groups, tokens

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps credentials from being checked just now, in words that name no issuer."""
        stale = ("the ledger's keys cannot be read",) if self._settings.keys and self._is_stale() else ()
        unread = len(self.unread_issuers)
        return (*stale, f"issuers whose keys cannot be read: {unread}") if unread else stale

    @property
    def unread_issuers(self) -> tuple[str, ...]:
        """Issuers whose keys could not be read when that was last tried; the log says why."""
        return self._tokens.unread_issuers

    def authenticate(self, authorization: str | None) -> Principal:
        """Who asks. Waits for nothing.

        Args:
            authorization: the header's value.

        Raises:
            Unauthenticated: nobody is known by it; UnknownSigningKey where `authenticated` may know more.
            IdentityUnavailable: the ledger could not be read for too long to tell.
        """
        credential = _bearer(authorization)
        if credential.startswith(PREFIX):
            return self._holder(credential)
        if self._settings.tokens and credential.count(".") == 2:
            return self._tokens.principal(credential, self._groups)
        raise Unauthenticated("neither an API key nor a token that is taken here")

    async def authenticated(self, authorization: str | None) -> Principal:
        """As `authenticate`; but when a token names a key that its issuer may just have published, asks the issuer.

        That takes seconds at worst, and is done once a minute at most for each issuer.
        """
        try:
            return self.authenticate(authorization)
        except UnknownSigningKey:
            issuer = self._tokens.issuer_of(_bearer(authorization))
            if issuer is None or not (issuer in self._readings or issuer.may_ask):
                raise
        if issuer not in self._readings:
            self._readings[issuer] = asyncio.create_task(asyncio.to_thread(issuer.read))
            self._readings[issuer].add_done_callback(lambda _: self._readings.pop(issuer))
        await asyncio.shield(self._readings[issuer])
        return self.authenticate(authorization)

    def read_keys(self) -> None:
        """Look up in the ledger which keys there are, if anything has changed.

        Raises:
            Failure: it cannot be read, or there are keys and the server key is missing.
        """
        asked_at = self._clock()
        version = self._credentials.version()
        if version != self._version:
            known = {credential.key: credential for credential in self._credentials.list(revoked=True)}
            if known and not self._server_key:
                self._server_key = read_server_key(self._server_key_file)
            self._keys, self._version = known, version
        self._known_at = asked_at

    def _holder(self, credential: str) -> Principal:
        parts = split_key(credential)
        if not self._settings.keys or parts is None:
            raise Unauthenticated("not an API key, or none are taken")
        if self._is_stale():
            raise IdentityUnavailable("the ledger cannot be read")
        key, secret = parts
        found, now = self._keys.get(key), written(self._now())
        # The same work for every key there is, was or never was: time tells nothing of which.
        given = keyed_hash(self._server_key, key, secret)
        grace = found is not None and found.previous_until is not None and now < found.previous_until
        current = hmac.compare_digest(given, found.hash if found else _NO_HASH)
        previous = hmac.compare_digest(given, (found.previous_hash if found and grace else None) or _NO_HASH)
        if found is None:
            raise Unauthenticated("an API key that there is not")
        if not (current or previous):
            raise Unauthenticated(f"a wrong secret of key {key}")
        if found.revoked:
            raise Unauthenticated(f"key {key} was revoked")
        if found.expires_at is not None and found.expires_at <= now:
            raise Unauthenticated(f"key {key} has expired")
        try:
            return self._groups.principal(found.principal, found.groups, key)
        except ValueError as error:  # somebody has written to the ledger by other ways than ours
            raise Unauthenticated(f"key {key}: {error}") from None

    def _is_stale(self) -> bool:
        return self._clock() - self._known_at > STALE_SECONDS

    def _start(self, name: str, follow: Callable[[], None]) -> None:
        thread = threading.Thread(target=follow, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _follow_ledger(self) -> None:
        told = ""
        while not self._closing.wait(POLL_SECONDS):
            try:
                if self._settings.keys:
                    self.read_keys()
            except Exception as error:  # noqa: BLE001 - whatever it is: what is known grows old, and it is tried again
                said = f"{type(error).__name__}: {error}"
                if said != told:
                    _LOG.error("the ledger's keys cannot be read, so soon none will be taken: %s", said)
                told = said
            else:
                if told:
                    _LOG.warning("the ledger's keys are read again")
                told = ""

    def _follow_issuers(self) -> None:
        while not self._closing.wait(POLL_SECONDS):
            self._tokens.read_due()


def _bearer(authorization: str | None) -> str:
    """The credential in the header. Raises Unauthenticated."""
    scheme, _, credential = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise Unauthenticated("no bearer credential" if authorization else "no credential")
    if not credential.isascii() or not credential.isprintable() or " " in credential:
        raise Unauthenticated("a credential with characters that none has")
    return credential
