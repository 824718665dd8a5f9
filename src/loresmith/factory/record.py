"""The record of a step under way: its log and events in the run's folder, its numbers and checkpoints in the ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loresmith.ledger import Ledger
from loresmith.ledger.digest import digest_file, digest_of

FLUSH_SECONDS = 2.0
FLUSH_ROWS = 500


class StepRecord:
    """Takes a step's events and keeps them. Metrics go to the ledger in batches: one leaf of the log a batch."""

    def __init__(self, ledger: Ledger, run: str, step: str, key: str, work: Path, folder: Path) -> None:
        self._ledger = ledger
        self._run = run
        self._step = step
        self._key = key
        self._work = work
        self._metrics: list[tuple[str, float, float, str]] = []
        self._flushed_at = time.monotonic()
        self.log_path = folder / f"{step}.log"
        self._events = (folder / "events.jsonl").open("a", encoding="utf-8")
        self._log = self.log_path.open("a", encoding="utf-8")

    def take(self, event: Mapping[str, Any]) -> None:
        """Keep one event."""
        kind = event["event"]
        if kind == "metric":
            self._metrics.append((event["name"], event["value"], event["position"], event["at"]))
            return
        if kind == "checkpoint":
            self._flush()  # a step that goes on from here does not say again what came before
            self._checkpoint(self._work / event["path"], event["path"], event["position"])
        elif kind == "log":
            self._log.write(f"{event['at']} {event['message']}\n")
            self._log.flush()
        self._events.write(json.dumps({**event, "step": self._step}) + "\n")
        self._events.flush()

    def flush_when_due(self) -> None:
        due = time.monotonic() - self._flushed_at >= FLUSH_SECONDS or len(self._metrics) >= FLUSH_ROWS
        if due:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._events.close()
        self._log.close()

    def _flush(self) -> None:
        if not self._metrics:
            return
        self._ledger.runs.add_metrics(self._run, self._step, self._metrics)
        self._metrics = []
        self._flushed_at = time.monotonic()

    def _checkpoint(self, directory: Path, path: str, position: float) -> None:
        try:
            files = {
                str(file.relative_to(directory)): (digest_file(file), file.stat().st_size)
                for file in sorted(directory.rglob("*"))
                if file.is_file()
            }
        except FileNotFoundError:  # a newer checkpoint has already taken its place
            return
        self._ledger.checkpoints.add(
            self._key,
            self._run,
            path=path,
            digest=digest_of({name: digest for name, (digest, _) in files.items()}),
            position=position,
            bytes=sum(size for _, size in files.values()),
        )
