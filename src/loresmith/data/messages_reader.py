"""Files of conversations are read in a process of their own, with limits: one that hangs, crashes its reader or needs
too much memory is refused, and the rest go on."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from loresmith.data.messages import BadRecordError
from loresmith.data.messages_lines import MessageLine
from loresmith.data.messages_worker import seconds_for
from loresmith.data.reading.limits import Limits
from loresmith.data.reading.pool import OFFLINE, TICK_SECONDS, reason_of

_CLOCK = 10
"""Seconds by the clock for one of the processor's: a busy machine is no fault of a file's."""


class ReadMessages:
    """What reading a file gave: its lines, as often as they are asked for."""

    def __init__(self, name: str, lines: Path, refused: MessageLine | None = None) -> None:
        self._name, self._lines, self._refused = name, lines, refused

    def __iter__(self) -> Iterator[MessageLine]:
        if self._refused is not None:
            yield self._refused
            return
        with self._lines.open(encoding="ascii") as lines:
            for line in lines:
                yield MessageLine.unpacked(self._name, json.loads(line))


class MessagesReader:
    """Reads files of conversations, one after the other. A context manager; at its end no process is left.

    Args:
        metadata_fields: keys that records may have besides those of their form.
        limits: of each file; for every MiB it may take a second longer, and its own bytes are not counted as memory.
        folder: made for what is in between, and removed.

    `isolation` says whether the reader has a network, as `leave_the_network` has it; empty as long as none has begun.
    """

    def __init__(self, metadata_fields: Collection[str], limits: Limits, folder: Path) -> None:
        self._fields, self._limits, self._folder = sorted(metadata_fields), limits, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._replies = -1
        self.isolation = ""

    def read(self, data: bytes, name: str, tick: Callable[[], None]) -> ReadMessages:
        """Read a file; what it gave is there until the next one is read.

        Args:
            name: what it is called, which helps to tell its type.
            tick: called while waiting; it may raise to leave.
        """
        file, lines = self._folder / "file", self._folder / "lines"
        file.write_bytes(data)
        process = self._started()
        assert process.stdin is not None
        task = {"path": str(file), "name": name, "to": str(lines)}
        with suppress(BrokenPipeError):  # its silence says so
            process.stdin.write(json.dumps(task).encode() + b"\n")
            process.stdin.flush()
        until = time.monotonic() + _CLOCK * seconds_for(len(data), self._limits)
        refused: tuple[str, str] | None = None
        while refused is None:
            tick()
            said = self._said()
            if said == b"done\n":
                break
            if said is not None:
                process.wait()  # it is dead, or its end of the pipe would not be closed
                refused = reason_of(self._end(), self._limits)
            elif time.monotonic() > until:
                self._end()
                refused = "took too long", f"no answer within {_CLOCK * seconds_for(len(data), self._limits):g} s"
        file.unlink()
        if refused is None:
            return ReadMessages(name, lines)
        return ReadMessages(name, lines, MessageLine(name, 0, "", len(data), BadRecordError(*refused)))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None:
            return self._process
        self._replies, ours = os.pipe()
        settings = [str(ours), str(os.getpid()), json.dumps(self._fields), json.dumps(asdict(self._limits))]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loresmith.data.messages_worker", *settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # native libraries complain there of what the refusal says better
            pass_fds=[ours],
            env={**os.environ, **OFFLINE, "OMP_NUM_THREADS": "1"},
        )
        os.close(ours)
        first = bytearray()
        while not first.endswith(b"\n") and (some := os.read(self._replies, 4096)):
            first += some
        self.isolation = first.decode().strip()
        return self._process

    def _said(self) -> bytes | None:
        """What it says within a moment: nothing at all where it is dead."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            return os.read(self._replies, 4096) if selector.select(TICK_SECONDS) else None

    def _end(self) -> int:
        """End it; returns how it had ended, if it had."""
        process, self._process = self._process, None
        assert process is not None
        assert process.stdin is not None
        if process.poll() is None:
            process.kill()
        status = process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()
        os.close(self._replies)
        return status

    def __enter__(self) -> MessagesReader:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._end()
        shutil.rmtree(self._folder, ignore_errors=True)
