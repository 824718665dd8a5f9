"""Workers that read files side by side. One that dies over a file, hangs or grows is replaced, and the file refused."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from loresmith.data.readers.record import ReadingRules
from loresmith.data.reading.extraction import Extraction, refusal
from loresmith.data.reading.limits import Limits
from loresmith.data.reading.worker import DISK, LENGTH_BYTES, MEMORY, MODELS
from loresmith.errors import Failure

TICK_SECONDS = 0.25
_PATIENCE_SECONDS = 0.7
_TASKS_OF_A_WORKER = 2000
"""Then it is replaced: what native libraries leak is no later file's fault."""

OFFLINE = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "no_proxy": "*"}


@dataclass
class _Task:
    number: int
    path: Path
    name: str
    size: int
    room: int
    tried: int = 0


class _Worker:
    """One process, and what it is at."""

    def __init__(self, spool: Path, rules: ReadingRules, limits: Limits) -> None:
        self.replies, ours = os.pipe()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "loresmith.data.reading.worker",
                *(str(ours), str(os.getpid()), str(spool), json.dumps(asdict(rules)), json.dumps(asdict(limits))),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # native libraries complain there of what the refusal says better
            pass_fds=[ours],
            env={**os.environ, **OFFLINE, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"},
        )
        os.close(ours)
        os.set_blocking(self.replies, False)
        self.task: _Task | None = None
        self.since = 0.0
        self.done = 0
        self.received = bytearray()
        self.isolation = ""

    def give(self, task: _Task) -> None:
        """Have it read a file. A worker that is dead already is found out by its silence."""
        self.task, self.since = task, time.monotonic()
        assert self.process.stdin is not None
        try:
            asked = {"number": task.number, "path": str(task.path), "name": task.name, "room": task.room}
            self.process.stdin.write(json.dumps(asked).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return

    def take(self) -> tuple[Extraction | None, bool]:
        """An answer, if it is complete; and whether more can come."""
        try:
            data = os.read(self.replies, 1 << 20)
        except BlockingIOError:
            return None, True
        self.received += data
        if not self.isolation:
            self.isolation = (self._message() or b"").decode()
        answer = self._message() if self.isolation else None
        return (None, bool(data)) if answer is None else (Extraction.from_bytes(answer), True)

    def _message(self) -> bytes | None:
        """The next thing that it said, if that is here as a whole."""
        if len(self.received) < LENGTH_BYTES:
            return None
        end = LENGTH_BYTES + int.from_bytes(self.received[:LENGTH_BYTES], "big")
        if len(self.received) < end:
            return None
        message = bytes(self.received[LENGTH_BYTES:end])
        del self.received[:end]
        return message

    def end(self) -> int:
        """End it; returns how it had ended, if it had."""
        status = self.process.poll()
        if status is None:
            self.process.kill()
        found = self.process.wait()
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        os.close(self.replies)
        return found


class ReadingPool:
    """Reads files in workers. A context manager; at its end no worker is left.

    Args:
        workers: how many.
        rules: what the recipe says about reading.
        limits: of each file.
        spool: an empty folder, to which the members of archives are written.

    `isolation` says whether the workers have a network, as `leave_the_network` has it; empty as long as none has begun.
    """

    def __init__(self, workers: int, rules: ReadingRules, limits: Limits, spool: Path) -> None:
        self._most, self._rules, self._limits, self._spool = max(1, workers), rules, limits, spool
        self._waiting: deque[_Task] = deque()
        self._workers: list[_Worker] = []
        self._answers: dict[int, Extraction] = {}
        self._selector = selectors.DefaultSelector()
        self._submitted = 0
        self._began = time.monotonic()
        self.isolation = ""

    def submit(self, path: Path, name: str, size: int, room: int | None = None) -> int:
        """Have a file read; returns the number under which `result` has the answer.

        Args:
            path: where its bytes lie; unchanged until the answer is there.
            name: what it is called, which helps to tell its type.
            size: in bytes.
            room: how many bytes of members may be written to the spool, the first of them as far as they fit; None: as
                many as the rules allow of one archive.
        """
        number = self._submitted
        self._submitted += 1
        self._waiting.append(_Task(number, path, name, size, self._rules.max_unpacked_bytes if room is None else room))
        self._assign()
        return number

    def result(self, number: int, tick: Callable[[], None] = lambda: None) -> Extraction:
        """What reading it gave, once it is there; given once.

        Args:
            tick: called while waiting; it may raise to leave.
        """
        while number not in self._answers:
            tick()
            self._listen(TICK_SECONDS)
        return self._answers.pop(number)

    def member(self, number: int, index: int) -> Path:
        """Where a member of a file lies: of the file read under this number, the one of this index."""
        return self._spool / str(number) / str(index)

    def forget(self, number: int) -> None:
        """Remove the members of a file."""
        shutil.rmtree(self._spool / str(number), ignore_errors=True)

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        self._selector.close()

    def __enter__(self) -> ReadingPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _assign(self) -> None:
        idle = [worker for worker in self._workers if worker.task is None]
        while self._waiting:
            if idle:
                worker = idle.pop()
            elif not self._workers or (len(self._workers) < self._most and self._slow()):
                worker = _Worker(self._spool, self._rules, self._limits)
                self._workers.append(worker)
                self._selector.register(worker.replies, selectors.EVENT_READ, worker)
            else:
                return
            worker.give(self._waiting.popleft())

    def _slow(self) -> bool:
        """Whether there is more to do than one worker does while another starts."""
        return time.monotonic() - self._began > _PATIENCE_SECONDS

    def _listen(self, seconds: float) -> None:
        for key, _ in self._selector.select(timeout=seconds):
            worker: _Worker = key.data
            answer, alive = worker.take()
            self.isolation = worker.isolation or self.isolation
            if answer is not None:
                self._finished(worker, answer)
            elif not alive:
                self._died(worker)
        moment = time.monotonic()
        for worker in list(self._workers):
            if worker.task is not None and moment - worker.since > self._limits.clock_seconds:
                task = worker.task
                self._replace(worker)
                self.forget(task.number)
                detail = f"no answer within {self._limits.clock_seconds:g} s"
                self._answers[task.number] = refusal("took too long", detail, task.size, lasting=False)
        self._assign()

    def _finished(self, worker: _Worker, answer: Extraction) -> None:
        assert worker.task is not None
        self._answers[worker.task.number] = answer
        worker.task, worker.done = None, worker.done + 1
        if worker.done >= _TASKS_OF_A_WORKER:
            self._replace(worker)

    def _died(self, worker: _Worker) -> None:
        """A worker ended over a file. If it had read others before, they may be to blame: the file is tried again."""
        task, earlier = worker.task, worker.done
        status = self._replace(worker)
        if task is None:
            return
        self.forget(task.number)
        if earlier and not task.tried:
            task.tried += 1
            self._waiting.appendleft(task)
            return
        self._answers[task.number] = _ending(status, task.size, self._limits)

    def _replace(self, worker: _Worker) -> int:
        self._selector.unregister(worker.replies)
        self._workers.remove(worker)
        return worker.end()


_CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})
"""What a file may do to its reader; another signal, or exit, may have come from elsewhere."""


def _ending(status: int, size: int, limits: Limits) -> Extraction:
    """The refusal of a file over which a worker ended in this way. Raises Failure where the file is not to blame."""
    if status == MODELS:
        raise Failure("the models that recognise text were changed or removed meanwhile", hint="run it again")
    return refusal(*reason_of(status, limits), size, lasting=-status in _CRASHES)


def reason_of(status: int, limits: Limits) -> tuple[str, str]:
    """Why a file is refused over which a process ended in this way, and what there is to say of it.

    Raises:
        Failure: the file is not to blame.
    """
    if status == DISK:
        raise Failure("what is read out of files cannot be written", hint="is the disk full?")
    if status == -signal.SIGXCPU:
        return "took too long", f"{limits.seconds:g} s of the processor's time"
    if status in (MEMORY, -signal.SIGKILL):
        detail = f"more than {limits.memory_bytes} bytes" if status == MEMORY else "the system ended the reader"
        return "needed too much memory", detail
    return "crashed the reader", signal.Signals(-status).name if status < 0 else f"exit status {status}"
