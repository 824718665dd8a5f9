"""Admits requests: limits of the key, the caller and its groups first, then the queue."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from loresmith.errors import Failure
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.principal import Principal
from loresmith.serving.quotas.day_budget import DayBudget, save, seconds_left
from loresmith.serving.quotas.fair_queue import FairQueue, QueueFull
from loresmith.serving.quotas.over_quota import OverQuota
from loresmith.serving.quotas.rate import Rate
from loresmith.serving.quotas.settings import Limits, QuotaSettings
from loresmith.serving.quotas.steady_clock import SteadyClock

SAVED_EVERY_SECONDS = 0.5
"""How much of a day's counts a killed gateway may forget. What is set aside counts from the moment it is."""

_ACCOUNTS_KEPT = 10_000
_COME_AGAIN_SECONDS = 1.0
"""What is said where nobody knows when something will be free."""

_LOG = logging.getLogger(__name__)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class _Account:
    """What one key, caller or group has taken."""

    requests: Rate = field(default_factory=Rate)
    tokens: Rate = field(default_factory=Rate)
    at_once: int = 0


class Grant:
    """A request that was admitted; `settle` says how many tokens it took."""

    def __init__(self, settle: Callable[[int], None], tokens: int) -> None:
        self._settle = settle
        self.tokens = tokens
        self.settled = False

    def settle(self, used: int) -> None:
        """Give back what was set aside and not used. Without this, all of it counts; only the first call does."""
        if not self.settled:
            self.settled = True
            self._settle(used)


class Quotas:
    """The quotas of one gateway; for one event loop.

    Args:
        groups: for shares in the queue.
        file: where the counts of the day are kept; nowhere if it is None.
        monotonic: seconds, for rates.
        now: the date, for daily budgets; aware.

    Raises:
        UserError: a limit is for a group that is not declared.
        Failure: the counts of the day cannot be read.
    """

    def __init__(
        self,
        settings: QuotaSettings,
        groups: Groups,
        file: Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        groups.require(settings.groups, "quotas.groups")
        self._settings = settings
        self._groups = groups
        self._file = file
        self._clock = SteadyClock(monotonic)
        self._now = now
        self._accounts: dict[str, _Account] = {}
        self._days = DayBudget()
        self._queue = FairQueue(settings.running, settings.waiting)
        self._drop_at = _ACCOUNTS_KEPT
        self._saving: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self.saved = True
        """Whether the counts of the day could be written when it was last tried."""
        if file is not None:
            try:
                self._days.load(file, now().astimezone(UTC).date())
            except (OSError, sqlite3.Error, ValueError) as error:
                # Of a disk or of rights: those have a code, and a text that is none has not.
                operational = isinstance(error, sqlite3.OperationalError) and hasattr(error, "sqlite_errorcode")
                outside = operational or isinstance(error, OSError)
                raise Failure(
                    f"the tokens that were used today cannot be read: {error}",
                    where=str(file),
                    hint="the gateway must be able to write there"
                    if outside
                    else "remove the file to count from nought",
                ) from error

    async def start(self) -> None:
        """Keep writing the counts of the day."""
        if self._file is not None and self._saving is None:
            self._saving = asyncio.create_task(self._keep_saving(), name="quotas: save")

    async def close(self) -> None:
        """Write what is left to write."""
        self._closing.set()
        if self._saving is not None:
            await self._saving
            self._saving = None
        await self._save()

    def reload(self, settings: QuotaSettings, groups: Groups) -> None:
        """Go on with other limits; what was taken stays taken, and nobody who waits is turned away."""
        groups.require(settings.groups, "quotas.groups")
        self._settings, self._groups = settings, groups
        self._queue.resize(settings.running, settings.waiting)

    @property
    def at_work(self) -> int:
        """How many requests are at work."""
        return self._queue.at_work

    @asynccontextmanager
    async def admit(self, principal: Principal, tokens: int, answers: int = 1) -> AsyncIterator[Grant]:
        """Admit a request, or wait for its turn.

        Args:
            tokens: prompt and longest answers together.
            answers: how many it is to get; each is one of those at work at the same time.

        Raises:
            OverQuota: a limit does not allow it, too many are waiting, or its turn did not come in time.
        """
        group = principal.groups[0] if principal.groups else ""
        if self._queue.is_full(group):
            raise OverQuota("requests that may wait at the same time", _COME_AGAIN_SECONDS)
        scopes = list(self._scopes(principal))
        grant = self._reserve(scopes, tokens, answers)
        try:
            declared = self._groups.declared.get(group)
            share = declared.priority if declared else 1
            try:
                await self._queue.enter(group, share, tokens, self._settings.patience_seconds, answers)
            except (QueueFull, TimeoutError):
                raise OverQuota("requests at work at the same time", _COME_AGAIN_SECONDS) from None
            try:
                yield grant
            finally:
                self._queue.leave(answers)
                grant.settle(tokens)
        finally:
            grant.settle(0)  # it never got its turn
            for name, _ in scopes:
                self._accounts[name].at_once -= answers

    def _scopes(self, principal: Principal) -> Iterator[tuple[str, Limits]]:
        """The accounts that a request counts for, by what they are called in messages."""
        limits = self._settings
        if "#" not in principal.credential:  # a token has as many ids as its issuer likes to give
            yield f"key {principal.credential}", limits.each_key
        yield principal.id, limits.callers.get(principal.id, limits.each_caller)
        for name in principal.groups:
            if name in limits.groups:
                yield f"group {name}", limits.groups[name]

    def _reserve(self, scopes: list[tuple[str, Limits]], tokens: int, answers: int) -> Grant:
        """Hold a request against all limits, and only then take what it needs from all of them."""
        now, moment = self._clock(), self._now()
        today = moment.astimezone(UTC).date()
        self._drop_idle(now)
        for name, limits in scopes:
            self._require(name, limits, tokens, answers, now, moment)
        reserved: list[tuple[Rate, int, float]] = []
        for name, limits in scopes:
            account = self._accounts.setdefault(name, _Account())
            account.at_once += answers
            if limits.requests_per_minute:
                account.requests.take(now, 60 / limits.requests_per_minute)
            if limits.tokens_per_minute:
                each = 60 / limits.tokens_per_minute
                reserved.append((account.tokens, account.tokens.reserve(now, tokens * each), each))
            self._days.add(today, name, tokens)

        def settle(used: int) -> None:
            then = self._clock()
            for rate, number, each in reserved:
                rate.settle(then, number, used * each)
            for name, _ in scopes:
                self._days.add(today, name, used - tokens)

        return Grant(settle, tokens)

    def _require(self, name: str, limits: Limits, tokens: int, answers: int, now: float, moment: datetime) -> None:
        account = self._accounts.get(name) or _Account()
        if limits.concurrent is not None and account.at_once + answers > limits.concurrent:
            never = answers > limits.concurrent
            what = f"{limits.concurrent} {'answers' if answers > 1 else 'requests'} at the same time of {name}"
            raise OverQuota(what, None if never else _COME_AGAIN_SECONDS)
        if limits.requests_per_minute:
            each = 60 / limits.requests_per_minute
            if wait := account.requests.wait(now, each, limits.requests_at_once * each):
                raise OverQuota(f"{limits.requests_per_minute:g} requests per minute of {name}", wait)
        if limits.tokens_per_minute:
            each = 60 / limits.tokens_per_minute
            wait = account.tokens.wait(now, tokens * each, limits.tokens_at_once * each)
            if wait is None:
                raise OverQuota(f"{limits.tokens_at_once} tokens in one request of {name}", None)
            if wait:
                raise OverQuota(f"{limits.tokens_per_minute} tokens per minute of {name}", wait)
        if limits.tokens_per_day is not None:
            today = moment.astimezone(UTC).date()
            if self._days.taken(today, name) + tokens > limits.tokens_per_day:
                never = tokens > limits.tokens_per_day
                raise OverQuota(
                    f"{limits.tokens_per_day} tokens per day of {name}", None if never else seconds_left(moment)
                )

    def _drop_idle(self, now: float) -> None:
        if len(self._accounts) < self._drop_at:
            return
        self._accounts = {
            name: account
            for name, account in self._accounts.items()
            if account.at_once or not (account.requests.idle(now) and account.tokens.idle(now))
        }
        self._drop_at = max(_ACCOUNTS_KEPT, 2 * len(self._accounts))

    async def _keep_saving(self) -> None:
        # One write at a time, and none cut short: an older count must not be written over a newer one.
        while not self._closing.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(SAVED_EVERY_SECONDS):
                    await self._closing.wait()
            await self._save()

    async def _save(self) -> None:
        changes = self._days.changes() if self._file is not None else []
        if not changes or self._file is None:
            return
        try:
            await asyncio.to_thread(save, self._file, changes)
        except Exception as error:  # noqa: BLE001 - whatever it is: nothing counted is forgotten, and it is tried again
            self._days.not_saved(changes)
            if self.saved:
                _LOG.error(
                    "the tokens used today cannot be written to %s, and count here alone until they can: %s: %s",
                    *(self._file, type(error).__name__, error),
                )
            self.saved = False
        else:
            if not self.saved:
                _LOG.warning("the tokens used today are written to %s again", self._file)
            self.saved = True
