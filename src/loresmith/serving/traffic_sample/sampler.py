"""Keeps the sample while the gateway is at work: what is drawn goes to a thread that computes features and writes.

Answering never waits for it and never fails with it. Where it cannot keep up or cannot write, requests are left out and
counted.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.errors import LoresmithError
from loresmith.serving.traffic_sample.features import COLUMNS, Embedder, features
from loresmith.serving.traffic_sample.reservoir import Stratum, priority_of
from loresmith.serving.traffic_sample.settings import TrafficSampleSettings
from loresmith.serving.traffic_sample.traffic import Traffic
from loresmith.serving.wall_clock import elapsed

if TYPE_CHECKING:
    import pyarrow as pa

    from loresmith.serving.audit.tenant_keys import TenantKeys

FOLDER = "traffic-sample"
"""Where the sample lies in the workspace's state folder: a folder a day, a file an hour and process."""

SAMPLE = "sample"
"""The phase under which content is sealed."""

_WAITING = 1000
_STRATA = 5000
_JUMP_SECONDS = 60.0
_DOUBT_SECONDS = 86_400.0
"""So long after the clock has jumped nothing is removed for its age: perhaps it is the clock that is wrong."""

_Key = tuple[str, str, str]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class TrafficSample:
    """The sample of one gateway process.

    Args:
        folder: where it is written; made if need be.
        keys: with which content is encrypted; used by no other thread.
        embedder: makes vectors, if settings want them.
        now: the time, with its zone.
        say: told, in the thread, why the sample cannot be written, and when it can be again.
    """

    def __init__(
        self,
        settings: TrafficSampleSettings,
        folder: Path,
        keys: TenantKeys | None = None,
        embedder: Embedder | None = None,
        now: Callable[[], datetime] = _utc_now,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._keys = keys
        self._embedder = embedder if settings.embeddings else None
        self._now = now
        self._say = say
        self._process = f"{os.getpid()}-{secrets.token_hex(3)}"
        self._strata: dict[_Key, Stratum] = {}
        self._rows: dict[_Key, list[dict[str, Any]]] = {}
        self._changed: set[str] = set()
        self._lock = threading.Lock()
        self._on_its_way: dict[_Key, int] = {}  # requests that were drawn of each stratum, and are in the queue
        self._written: dict[_Key, int] = {}  # requests of each stratum, as its hour's file says
        self._parts: dict[str, int] = {}
        self._looked = (now(), elapsed())
        self._jumped: float | None = None
        self._queue: queue.SimpleQueue[tuple[_Key, int, Traffic] | None] = queue.SimpleQueue()
        self.lost = 0
        """Requests that were drawn and could not be kept."""
        self.trouble = ""
        """Why the sample could not be written the last time; empty if it could."""
        self._thread: threading.Thread | None = None
        if settings.enabled:
            self._thread = threading.Thread(target=self._work, name="traffic-sample", daemon=True)
            self._thread.start()

    @property
    def enabled(self) -> bool:
        """Whether anything is drawn."""
        return self._settings.enabled

    def offer(self, traffic: Traffic) -> None:
        """Draw a request, or do not. Returns at once; call it from one thread."""
        if self._thread is None:
            return
        key = (traffic.hour, traffic.release, traffic.outcome)
        priority = priority_of(traffic.response)
        with self._lock:
            stratum = self._strata.get(key)
            if stratum is None:
                if len(self._strata) >= _STRATA:
                    self.lost += 1
                    return
                stratum = self._strata[key] = Stratum(self._settings.per_stratum)
            if not stratum.admit(priority):
                return
            if self._queue.qsize() >= _WAITING:
                self.lost += 1
                return
            self._on_its_way[key] = self._on_its_way.get(key, 0) + 1
            self._queue.put((key, priority, traffic))

    def close(self) -> None:
        """Write what was drawn, and stop."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    # What follows runs in the thread.

    def _work(self) -> None:
        due = time.monotonic() + self._settings.flush_seconds
        while True:
            try:
                drawn = self._queue.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                self._flush()
                due = time.monotonic() + self._settings.flush_seconds
                continue
            if drawn is None:
                self._flush()
                return
            self._keep(*drawn)
            if time.monotonic() >= due:
                self._flush()
                due = time.monotonic() + self._settings.flush_seconds

    def _keep(self, key: _Key, priority: int, traffic: Traffic) -> None:
        with self._lock:
            self._on_its_way[key] -= 1
            if not self._on_its_way[key]:
                del self._on_its_way[key]
        try:
            row = features(traffic, self._settings.buckets, self._embedder)
            row |= {"priority": priority, "content": self._sealed(traffic)}
        except Exception:  # noqa: BLE001 - an odd request, or an embedder in trouble, must not end the sampling of others
            self.lost += 1
            return
        self._rows.setdefault(key, []).append(row)
        self._changed.add(key[0])

    def _sealed(self, traffic: Traffic) -> bytes | None:
        allowed = {"never": False, "with-consent": traffic.consent, "always": True}[self._settings.content]
        if not allowed or not traffic.admitted or self._keys is None:
            return None
        said = json.dumps({"messages": list(traffic.messages), "answer": traffic.answer}, ensure_ascii=False).encode()
        self._keys.refresh()
        return self._keys.seal(traffic.tenant, traffic.response, SAMPLE, said)

    def _flush(self) -> None:
        """Write every hour that changed, and forget those that are over."""
        now = self._now()
        self._watch_clock(now)
        self._changed |= self._outdated()
        trouble: Exception | str = ""
        for hour in sorted(self._changed):
            try:
                self._write(hour)
                self._changed.discard(hour)
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the sampling of other hours
                trouble = error if isinstance(error, OSError | LoresmithError) else f"{type(error).__name__}: {error}"
        try:
            self._prune(now)
        except OSError as error:
            trouble = error
        self._note(str(trouble))
        with self._lock:
            self._forget((now - timedelta(hours=1)).strftime("%Y-%m-%dT%H"))

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            self._say(f"the traffic sample cannot be written, and waits in memory: {trouble}")
        elif self.trouble and not trouble:
            self._say("the traffic sample is written again")
        self.trouble = trouble

    def _forget(self, over: str) -> None:
        """Forget the hours before this one that have been written."""
        # One that was counted and is still on its way would be counted again in the next file, with all of its hour.
        busy = self._changed | {key[0] for key in self._on_its_way} | self._outdated()
        forgotten = [key for key in self._strata if key[0] < over and key[0] not in busy]
        for key in forgotten:
            for kept in (self._strata, self._rows, self._written):
                kept.pop(key, None)
        # What comes late, of an hour that was forgotten, goes into another file, as if another gateway had drawn it.
        for hour in {key[0] for key in forgotten}:
            self._parts[hour] = self._parts.get(hour, 0) + 1

    def _write(self, hour: str) -> None:
        import pyarrow.parquet

        try:
            table = _table(self._rows_of(hour))
        except Exception:
            if not self._leave_out(hour):
                raise
            table = _table(self._rows_of(hour))
        day = self._folder / hour[:10]
        for folder in (self._folder, day):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = day / f"{hour[11:]}-{self._process}-{self._parts.get(hour, 0)}.parquet"
        staged = file.with_suffix(".writing")
        pyarrow.parquet.write_table(table, staged, compression="zstd")
        staged.replace(file)

    def _rows_of(self, hour: str) -> list[dict[str, Any]]:
        """What is to be written of an hour; its strata count as written."""
        rows: list[dict[str, Any]] = []
        for key in sorted(key for key in self._rows if key[0] == hour):
            kept = sorted(self._rows[key], key=lambda row: row["priority"])[: self._settings.per_stratum]
            self._rows[key] = kept
            self._written[key] = self._seen(key)
            rows += [{**row, "seen": self._written[key]} for row in kept]
        return rows

    def _leave_out(self, hour: str) -> int:
        """Lose the rows of an hour that cannot be written, each of which would keep back all. How many those are."""
        lost = 0
        for key in [key for key in self._rows if key[0] == hour]:
            sound = [row for row in self._rows[key] if _is_sound(row)]
            lost += len(self._rows[key]) - len(sound)
            self._rows[key] = sound
        self.lost += lost
        return lost

    def _outdated(self) -> set[str]:
        """The hours whose files say less than is known by now, be it only of how many were not drawn."""
        return {key[0] for key in self._rows if self._seen(key) != self._written.get(key)}

    def _seen(self, key: _Key) -> int:
        """How many requests a stratum had so far."""
        stratum = self._strata.get(key)
        return len(self._rows.get(key, ())) if stratum is None else stratum.seen

    def _watch_clock(self, now: datetime) -> None:
        """Notice whether the clock has gone on as time has."""
        then, steady_then = self._looked
        steady = elapsed()
        self._looked = (now, steady)
        if abs((now - then).total_seconds() - (steady - steady_then)) > _JUMP_SECONDS:
            self._jumped = steady

    def _prune(self, now: datetime) -> None:
        """Remove days that are too old, and the oldest ones while all are too large."""
        days = sorted(day for day in self._folder.glob("????-??-??") if day.is_dir()) if self._folder.is_dir() else []
        doubtful = self._jumped is not None and elapsed() - self._jumped < _DOUBT_SECONDS
        oldest = "" if doubtful else (now - timedelta(days=self._settings.keep_days)).strftime("%Y-%m-%d")
        sizes = {day: sum(file.stat().st_size for file in day.iterdir()) for day in days}
        total = sum(sizes.values())
        for day in days[:-1]:
            if day.name >= oldest and total <= self._settings.max_bytes:
                break
            shutil.rmtree(day)
            total -= sizes[day]
        there = {day for day in {hour[:10] for hour in self._parts} if (self._folder / day).is_dir()}
        self._parts = {hour: part for hour, part in self._parts.items() if hour[:10] in there}


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, COLUMNS)


def _is_sound(row: dict[str, Any]) -> bool:
    """Whether a row can be written."""
    try:
        _table([row])
    except Exception:  # noqa: BLE001 - Arrow raises of many kinds, and each means the same
        return False
    return True
