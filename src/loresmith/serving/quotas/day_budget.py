"""Tokens by day and by whom, in memory, and in a small SQLite file that outlives the gateway."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

_DAYS_KEPT = 40
"""Counts of older days are of no use to anyone here: the audit has them."""

_TABLE = """
CREATE TABLE IF NOT EXISTS usage (
    day TEXT NOT NULL, scope TEXT NOT NULL, tokens INTEGER NOT NULL, PRIMARY KEY (day, scope)
) WITHOUT ROWID
"""


class DayBudget:
    """What was taken on which day.

    Each day is counted for itself: a clock that is set forward and back again finds the counts of its day as they were.
    """

    def __init__(self) -> None:
        self._taken: dict[date, dict[str, int]] = {}
        self._changed: set[tuple[date, str]] = set()

    def taken(self, day: date, scope: str) -> int:
        """Tokens taken, with those that are set aside."""
        return self._taken.get(day, {}).get(scope, 0)

    def add(self, day: date, scope: str, tokens: int) -> None:
        """Take tokens, or give them back when the number is negative."""
        scopes = self._taken.setdefault(day, {})
        while len(self._taken) > _DAYS_KEPT:
            del self._taken[next(iter(self._taken))]
        scopes[scope] = max(0, scopes.get(scope, 0) + tokens)
        self._changed.add((day, scope))

    def changes(self) -> list[tuple[date, str, int]]:
        """The counts that changed since the last call of this."""
        changed, self._changed = self._changed, set()
        return [(day, scope, self.taken(day, scope)) for day, scope in sorted(changed)]

    def not_saved(self, changes: Iterable[tuple[date, str, int]]) -> None:
        """Let `changes` name these again: they could not be written."""
        self._changed.update((day, scope) for day, scope, _ in changes)

    def load(self, path: Path, today: date) -> None:
        """Take up the counts of a file, which is made if needed, and drop those that are too old.

        Raises:
            OSError, sqlite3.Error: it cannot be read.
            ValueError: it says something else than counts.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(_TABLE)
            connection.execute("DELETE FROM usage WHERE day < ?", ((today - timedelta(_DAYS_KEPT)).isoformat(),))
            for day, scope, tokens in connection.execute("SELECT day, scope, tokens FROM usage"):
                if not isinstance(tokens, int):
                    raise ValueError(f"{tokens!r} is no number of tokens")  # noqa: TRY004 - what a file says is no type
                self._taken.setdefault(date.fromisoformat(str(day)), {})[str(scope)] = tokens


def save(path: Path, changes: Iterable[tuple[date, str, int]]) -> None:
    """Write counts to a file; for a thread of its own, since it waits for the disk.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    rows = [(day.isoformat(), scope, tokens) for day, scope, tokens in changes]
    with closing(sqlite3.connect(path, timeout=5)) as connection, connection:
        connection.execute(_TABLE)
        connection.executemany("INSERT OR REPLACE INTO usage VALUES (?, ?, ?)", rows)


def seconds_left(now: datetime) -> float:
    """Until midnight UTC."""
    utc = now.astimezone(UTC)
    midnight = datetime.combine(utc.date() + timedelta(days=1), time(), UTC)
    return (midnight - utc).total_seconds()
