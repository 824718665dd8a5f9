"""Follows a run from outside, while it goes on or afterwards: what the ledger and its events file say, as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loresmith.factory.events import EventReader
from loresmith.ledger import Ledger, RunEvent

_ENDS = ("finished", "failed", "interrupted")


def follow(ledger: Ledger, run: str, events_file: Path, pause: float) -> Iterator[Mapping[str, Any]]:
    """The events of a run, in the form in which an observer of the run gets them; ends when it no longer runs.

    Args:
        events_file: where the run writes what its steps say; it need not be there (yet, or on this machine).
        pause: seconds between two looks.
    """
    tail = _Tail(events_file)
    seen = 0
    kinds = {step["name"]: step["step"] for step in ledger.runs.get(run).plan["steps"]}
    yield {"event": "run-started", "run": run}
    while True:
        # The status is read first: what is written between the two looks is seen, and nothing comes after an end.
        running = ledger.runs.get(run).status == "running"
        told = ledger.runs.events(run)
        new = [_said(event, kinds) for event in told[seen:] if event.kind not in _ENDS] + tail.read()
        seen = len(told)
        yield from sorted(new, key=lambda event: str(event.get("at", "")))
        if not running:
            return
        time.sleep(pause)


def _said(event: RunEvent, kinds: Mapping[str, str]) -> dict[str, Any]:
    return {**event.data, "event": event.kind, "at": event.at, "step": event.step, "kind": kinds.get(event.step or "")}


class _Tail:
    """Reads what is added to a file of events."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._reader = EventReader()

    def read(self) -> list[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            return []
        self._read += len(data)
        return self._reader.feed(data)
