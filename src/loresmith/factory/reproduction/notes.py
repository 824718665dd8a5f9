"""What a step says while it is carried out again: its numbers and its log, kept in its folder and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loresmith.factory.events import EventReader


class Notes:
    """Takes a step's events. Its numbers outlive the process: a step that goes on does not say all of them again."""

    def __init__(self, folder: Path) -> None:
        self.log_path = folder / "step.log"
        self._log = self.log_path.open("a", encoding="utf-8")
        path = folder / "metrics.jsonl"
        self.metrics: dict[tuple[str, float], float] = {}
        said = EventReader().feed(path.read_bytes()) if path.exists() else []  # a line that was cut short is left out
        self._file = path.open("w", encoding="utf-8", buffering=1)
        for event in said:
            self._keep(event)

    def take(self, event: Mapping[str, Any]) -> None:
        """Keep one event."""
        if event["event"] == "metric":
            self._keep(event)
        elif event["event"] == "log":
            self._log.write(f"{event['at']} {event['message']}\n")
            self._log.flush()

    def close(self) -> None:
        self._file.close()
        self._log.close()

    def _keep(self, event: Mapping[str, Any]) -> None:
        self.metrics[event["name"], event["position"]] = event["value"]
        self._file.write(json.dumps(event) + "\n")
