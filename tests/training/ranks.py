"""Processes that carry out the real step together, as torchrun would have started them, but in a moment."""

from __future__ import annotations

import os
import signal
import socket
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from loresmith.errors import Interrupted
from loresmith.factory.step import InputAsset
from loresmith.training.parallel import joined_ranks
from tests.training.training_process import METHOD, STEPS, WritingContext

INTERRUPTED = "interrupted"
_PORTS = iter(range(15_000 + os.getpid() % 10_000, 32_000))
_NATIVE_CRASHES = (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT)


def _free_port() -> int:
    """A port below those that the system gives to whoever asks for any: nobody is given it before it is listened at."""
    for port in _PORTS:
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def train(
    folder: Path,
    step: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, InputAsset],
    stop: Sequence[int | None],
    **division: int,
) -> str | None:
    """The part of one process in a training; the first writes where a process alone would.

    Args:
        stop: how many times the context of each process says that there is no request to stop, before there is.
        division: tensor_parallel or expert_parallel.
    """
    rank = torch.distributed.get_rank()
    context = WritingContext(folder if rank == 0 else folder / f"rank-{rank}", stop_after=stop[rank])
    vars(context).update(division)
    context.work.mkdir(parents=True, exist_ok=True)
    (context.folder / "metrics.jsonl").unlink(missing_ok=True)
    chosen = STEPS[step]
    try:
        chosen.run(context, chosen.config.model_validate(dict(settings)), inputs)
    except Interrupted:
        return INTERRUPTED
    return None


def _serve(rank: int, world: int, port: int, ours: Connection) -> None:
    variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in variables.items()})
    torch.set_num_threads(1)
    with joined_ranks():
        while (task := ours.recv()) is not None:
            function, arguments, named = task
            try:
                ours.send((function(*arguments, **named), None))
            except Exception:  # noqa: BLE001 - what fails there is said here
                ours.send((None, traceback.format_exc()))
    os._exit(0)


class RankPool:
    """So many processes that have joined one another and wait for work."""

    def __init__(self, world: int) -> None:
        self._world = world
        self._start()

    def _start(self) -> None:
        port = _free_port()
        self.processes: list[ForkServerProcess] = []
        self._theirs: list[Connection] = []
        for rank in range(self._world):
            mine, theirs = METHOD.Pipe()
            process = METHOD.Process(target=_serve, args=(rank, self._world, port, theirs))
            process.start()
            self.processes.append(process)
            self._theirs.append(mine)

    def begin(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Have all of them call a function."""
        for connection in self._theirs:
            connection.send((function, arguments, named))

    def results(self, seconds: float = 200) -> list[Any]:
        """What the function gave in each."""
        found = []
        for connection in self._theirs:
            assert connection.poll(seconds), "it hangs"
            found.append(connection.recv())
        for _, failure in found:
            assert failure is None, failure
        return [result for result, _ in found]

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> list[Any]:
        """Have all of them call a function; what it gave in each.

        gloo's own thread crashes once in some thousand trainings of one process. Who does that twice is to blame.
        """
        try:
            self.begin(function, *arguments, **named)
            return self.results()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            for process in self.processes:
                process.join(timeout=5)
            if not any(process.exitcode in _NATIVE_CRASHES for process in self.processes):
                raise
        self.close()
        self._start()
        self.begin(function, *arguments, **named)
        return self.results()

    def close(self) -> None:
        for connection, process in zip(self._theirs, self.processes, strict=True):
            if process.is_alive():
                with suppress(BrokenPipeError):
                    connection.send(None)
        for process in self.processes:
            process.join(timeout=10)
            process.kill()
            process.join()
