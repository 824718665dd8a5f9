"""What a running step says, as one JSON object a line, from its process to the factory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def now() -> str:
    """The present moment as the ledger writes it: ISO 8601, UTC, microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class EventWriter:
    """Writes events to a pipe. A line shorter than PIPE_BUF arrives whole; longer ones are read line by line."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def send(self, kind: str, **data: Any) -> None:
        self.pass_on({"event": kind, "at": now(), **data})

    def pass_on(self, event: Mapping[str, Any]) -> None:
        """Send what another process has said, as it said it."""
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        view = memoryview(line)
        while view:
            view = view[os.write(self.descriptor, view) :]


class NoEvents:
    """Takes events and tells nobody."""

    def send(self, kind: str, **data: Any) -> None:
        pass


def writer_to(pipe: str) -> EventWriter | NoEvents:
    """Writes to a named pipe; to nobody where nobody listens at it, as on another machine than the listener's."""
    try:
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return NoEvents()
    os.set_blocking(descriptor, True)
    return EventWriter(descriptor)


class EventReader:
    """Takes whole events from the bytes that arrive on a pipe."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines if line]
