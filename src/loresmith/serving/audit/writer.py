"""Writes audit records: whoever waits for one goes on when it is on the disk, and not before.

One thread writes for all. While it writes, more records come in, and the next write takes all of them: the disk is
waited for once, however many records there are. With a journal they go there first and to the ledger within
LATER_SECONDS; without one, to the ledger at once. If one cannot be written, nobody who waits is told that it was,
`healthy` is false and every new record is refused, until a trial shows that writing works again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loresmith.errors import Failure, LoresmithError
from loresmith.ledger.clock import timestamp
from loresmith.serving.audit.journal import Journal
from loresmith.serving.audit.record import AuditRecord, Content
from loresmith.serving.audit.settings import AuditSettings
from loresmith.serving.audit.tenant_keys import TenantKeys

if TYPE_CHECKING:
    from loresmith.ledger import AuditRow, Ledger

LATER_SECONDS = 0.05
"""How long a record that nobody waits for, or that is in the journal, may wait for company on its way to the ledger."""

_KEYS_SECONDS, _IDLE_SECONDS = 0.5, 5.0
"""How often it is looked whether a tenant's key was destroyed, so that it does not stay in memory: under load, idle."""

_LOG = logging.getLogger(__name__)


class AuditUnavailable(Failure):
    """The record could not be written, or not in time: nothing may be answered."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """A record on its way to the disk, and whoever waits for it. Without anybody it is kept until it is written."""

    record: AuditRecord
    content: Content | None
    loop: asyncio.AbstractEventLoop | None = None
    future: asyncio.Future[None] | None = None
    given_up: bool = False
    refused: AuditUnavailable | None = field(default=None)


class Audit:
    """The audit of one gateway process.

    Args:
        ledger: where records go. Open until after `close`.
        settings: see there.
        keys: with which content is encrypted; unused where settings omit it.
        journal: where records go first, if anywhere; closed with the audit.
    """

    def __init__(
        self, ledger: Ledger, settings: AuditSettings, keys: TenantKeys, journal: Journal | None = None
    ) -> None:
        self._records = ledger.audit_records
        self._settings = settings
        self._keys = keys
        self._journal = journal
        self._pending: list[AuditRow] = []  # in the journal, or waited for by nobody; not in the ledger yet
        self._queue: deque[_Waiting] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._urgent = False  # somebody waits for a record
        self._due: float | None = None  # when those in the queue that nobody waits for are to be written
        self._ledger_due: float | None = None  # when the ledger is to have what is pending
        self._trouble: Failure | None = None
        self._trouble_since = ""
        self._refused = 0
        self._left_out = 0  # outcomes that nobody is told of yet
        self._unsaid: list[str] = []  # what is still to be said of records that are not as they were given
        self._looked = 0.0
        self.written = 0
        """Records in the ledger."""
        self.transactions = 0
        """Transactions that it took."""
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether records can be written, as far as is known. While they cannot, nothing may be answered."""
        return self._trouble is None and not self._closing and self._thread.is_alive()

    @property
    def trouble(self) -> str:
        """Why it is not healthy; empty while it is."""
        return "" if self._trouble is None else self._trouble.what

    @property
    def unsettled(self) -> int:
        """Records that are on their way to the ledger."""
        return len(self._queue) + len(self._pending)

    async def intent(self, record: AuditRecord, content: Content | None = None) -> None:
        """Put on the record what is asked for; returns when it is on the disk.

        Raises:
            AuditUnavailable: it is not known to be. Nothing of an answer may leave. A record that was on its way may
                still be written: an intent is no proof that there was an answer.
        """
        await self._write(record, content, "intent")

    async def outcome(self, record: AuditRecord, content: Content | None = None) -> None:
        """Put on the record what came of it; as `intent`."""
        await self._write(record, content, "outcome")

    async def settled(self) -> None:
        """Wait until what has been written so far is in the ledger, where others find it.

        Raises:
            AuditUnavailable: it cannot be brought there just now.
        """
        while self.unsettled:
            if not self.healthy:
                raise AuditUnavailable(f"the audit cannot be written: {self.trouble or 'it is closed'}")
            await asyncio.sleep(LATER_SECONDS / 5)

    def outcome_later(self, record: AuditRecord, content: Content | None = None, *, intended: bool = True) -> None:
        """Put an outcome on the record as soon as that is possible, for an answer of which a part has left already.

        It does not wait, and it outlasts trouble: the record is kept in memory until it is written. It goes to the
        disk with the next record that somebody waits for, or LATER_SECONDS later. One that cannot be written as it is
        is written without its content, and that is put on the record as well (`audit-gap`).

        Args:
            intended: its intent is on the record. Others are left out while too many records wait, and their number
                is put on the record.
        """
        _require_phase(record, "outcome")
        with self._wake:
            if not intended and self.unsettled >= self._settings.waiting:
                self._left_out += 1
                return
            self._queue.append(_Waiting(record, content))
            if self._due is None:
                self._due = time.monotonic() + LATER_SECONDS

    def close(self) -> None:
        """Write what waits, and stop. Raises AuditUnavailable if something could not be written."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join()
        if self._journal is not None:
            self._journal.close()
        if self.unsettled:
            raise AuditUnavailable(f"{self.unsettled} audit records could not be written: {self.trouble}")

    async def _write(self, record: AuditRecord, content: Content | None, phase: str) -> None:
        _require_phase(record, phase)
        trouble = self._trouble
        if trouble is not None:
            self._refused += 1
            raise AuditUnavailable(f"the audit cannot be written: {trouble.what}") from trouble
        if not self.healthy:
            raise AuditUnavailable("the audit is closed")
        if self.unsettled >= self._settings.waiting:
            raise AuditUnavailable(f"{self.unsettled} audit records wait to be written already")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(record, content, loop, loop.create_future())
        self._enqueue(waiting)
        assert waiting.future is not None
        try:
            async with asyncio.timeout(self._settings.patience_seconds):
                await waiting.future
        except TimeoutError:
            waiting.given_up = True
            slow = AuditUnavailable(f"the audit took longer than {self._settings.patience_seconds:g} seconds to write")
            self._begin_trouble(slow)
            raise slow from None

    def _enqueue(self, waiting: _Waiting) -> None:
        with self._wake:
            self._queue.append(waiting)
            self._urgent = True
            self._wake.notify()

    def _begin_trouble(self, trouble: Failure) -> None:
        with self._wake:
            if self._trouble is None:
                self._trouble, self._trouble_since, self._refused = trouble, timestamp(), 0

    # What follows runs in the thread.

    def _work(self) -> None:
        last = 0.0
        while True:
            if self._trouble is not None:
                with self._wake:
                    self._wake.wait_for(lambda: self._closing, self._settings.probe_seconds)
                if not self._recovered():
                    if self._closing:
                        return
                    continue
            self._wait_for_work()
            # Under load, records of a little while go together; a record that comes alone goes at once.
            pause = last + self._settings.gather_ms / 1000 - time.monotonic()
            if pause > 0 and not self._closing:
                time.sleep(pause)
            batch = self._take()
            try:
                self._write_batch(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is: who waits must not be answered, nor left waiting
                self._fail(batch, error)
            else:
                self._settle()
            last = time.monotonic()
            if self._closing and not self.unsettled:
                return

    def _wait_for_work(self) -> None:
        """Wait for a record that somebody waits for, or until those that nobody does have waited long enough."""
        idle_until = time.monotonic() + _IDLE_SECONDS
        with self._wake:
            while not (self._urgent or self._closing):
                now = time.monotonic()
                due = min(self._due or idle_until, self._ledger_due or idle_until)
                if now >= due:
                    return
                self._wake.wait(min(LATER_SECONDS / 2, due - now))

    def _take(self) -> list[_Waiting]:
        with self._wake:
            count = min(len(self._queue), self._settings.batch)
            taken = [self._queue.popleft() for _ in range(count)]
            self._urgent, self._due = bool(self._queue), None
        return [waiting for waiting in taken if not waiting.given_up]

    def _write_batch(self, batch: list[_Waiting]) -> None:
        if self._settings.content == "encrypted" and time.monotonic() - self._looked > _KEYS_SECONDS:
            self._keys.refresh()
            self._looked = time.monotonic()
        rows = self._rows(batch)
        if self._journal is None:
            self._to_ledger(rows)
        else:
            waited_for = any(waiting.future is not None for waiting in batch)
            if rows and waited_for:
                self._journal.append(rows)
            self._pending += rows
            if self._pending and self._ledger_due is None:
                self._ledger_due = time.monotonic() + (LATER_SECONDS if waited_for else 0)
        _tell(batch)

    def _settle(self) -> None:
        """Bring what is pending into the ledger, if it is time; and how much was left out, once there is time."""
        overdue = self._ledger_due is not None and time.monotonic() >= self._ledger_due
        try:
            if self._closing or overdue or len(self._pending) >= self._settings.batch:
                self._empty_journal()
            if (self._left_out or self._unsaid) and not self._queue:
                self._note_gap(())
        except Exception as error:  # noqa: BLE001 - as above; nobody waits, and nothing is lost
            self._fail([], error)

    def _empty_journal(self) -> None:
        while self._pending:
            first = self._pending[: self._settings.batch]
            self._to_ledger(first)
            del self._pending[: len(first)]
        self._ledger_due = None
        if self._journal is not None:
            self._journal.clear()

    def _to_ledger(self, rows: Sequence[AuditRow]) -> None:
        if rows:
            self._records.append(rows)
            self.written += len(rows)
            self.transactions += 1

    def _rows(self, batch: list[_Waiting]) -> list[AuditRow]:
        rows = []
        for waiting in batch:
            try:
                rows.append(self._row(waiting.record, waiting.content))
            except (LoresmithError, ValueError) as error:
                # This record alone is at fault, such as a text that is not Unicode.
                waiting.refused = AuditUnavailable(f"this cannot be put on the record: {error}")
                if waiting.future is None:
                    rows += self._without_content(waiting, type(error).__name__)
        return rows

    def _without_content(self, waiting: _Waiting, kind: str) -> list[AuditRow]:
        """An outcome that nobody waits for: what was done cannot be refused any more, and must not be forgotten.

        Args:
            kind: of error; no more of it, since it may quote what was said.
        """
        response = waiting.record.response
        waiting.content = None  # it may be at fault; and this is what is tried again
        try:
            waiting.record = _in_unicode(waiting.record)
            rows, came_of_it = [self._row(waiting.record, None)], "was written without its content"
        except (LoresmithError, ValueError):
            waiting.given_up = True
            rows, came_of_it = [], "could not be written"
        self._unsaid.append(f"the outcome of {response!a} {came_of_it}: {kind}")
        _LOG.error("%s", self._unsaid[-1])
        return rows

    def _row(self, record: AuditRecord, content: Content | None) -> AuditRow:
        sealed = None
        if content is not None and self._settings.content == "encrypted":
            said = content.model_dump_json(exclude_defaults=True).encode()
            sealed = self._keys.seal(record.tenant, record.response, record.phase, said)
        row = record.row(sealed)
        for text in (row.response, row.at, row.tenant, row.principal, row.release):
            text.encode()
        return row

    def _fail(self, batch: list[_Waiting], error: Exception) -> None:
        """Let everybody go who waits, for this batch or the next ones; what nobody waits for is kept."""
        trouble = error if isinstance(error, Failure) else Failure(f"{type(error).__name__}: {error}")
        self._begin_trouble(trouble)
        with self._wake:
            batch = [*batch, *self._queue]
            self._queue.clear()
            self._queue.extend(waiting for waiting in batch if waiting.future is None)
        told = [waiting for waiting in batch if waiting.future is not None]
        for waiting in told:
            waiting.refused = AuditUnavailable(f"the audit cannot be written: {trouble.what}")
        self._refused += len(told)
        _tell(told)

    def _recovered(self) -> bool:
        """Try whether writing works again, by writing down that it did not."""
        try:
            self._empty_journal()
            self._note_gap([f"{self._refused} records refused since {self._trouble_since}: {self.trouble}"])
        except Exception:  # noqa: BLE001 - whatever it is: this thread must be there when it works again
            return False
        with self._wake:
            self._trouble = None
        return True

    def _note_gap(self, said: Sequence[str]) -> None:
        left_out = self._left_out
        said = [*said, *self._unsaid]
        if left_out:
            said.append(f"{left_out} outcomes of requests that were not carried out left out: too many waited")
        self._records.note("audit-gap", "; ".join(said))
        self._unsaid.clear()
        with self._wake:
            self._left_out -= left_out


def _require_phase(record: AuditRecord, phase: str) -> None:
    if record.phase != phase:
        raise ValueError(f"this is the record of an {record.phase}, not of an {phase}")


def _in_unicode(record: AuditRecord) -> AuditRecord:
    """The same with a question mark for each half of a letter."""
    said = json.dumps(record.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
    return AuditRecord.model_validate_json(said.encode(errors="replace"))


def _tell(batch: list[_Waiting]) -> None:
    """Let those who wait know; one call into each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
    for waiting in batch:
        if waiting.loop is not None:
            loops.setdefault(waiting.loop, []).append(waiting)
    for loop, told in loops.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, told)


def _resolve(told: list[_Waiting]) -> None:
    for waiting in told:
        if waiting.future is None or waiting.future.done():
            continue
        if waiting.refused is not None:
            waiting.future.set_exception(waiting.refused)
        else:
            waiting.future.set_result(None)
