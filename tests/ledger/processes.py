"""Other processes, for what only they can show: real contention, a real SIGKILL, a real full disk."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

_FORK = multiprocessing.get_context("fork")
_TIMEOUT_SECONDS = 120.0


class Child:
    """A forked process that carries out a function. It must open its own ledger."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._results, sender = _FORK.Pipe(duplex=False)
        self._process = _FORK.Process(target=_carry_out, args=(sender, function, arguments))
        self._process.start()
        sender.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def result(self) -> Any:
        """What the function returned; an AssertionError with its traceback if it raised."""
        assert self._results.poll(_TIMEOUT_SECONDS), "the child does not answer"
        ended, value = self._results.recv()
        self._process.join()
        assert ended, value
        return value

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._process.join()


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """Carry out a function in a process of its own."""
    return Child(function, *arguments).result()


def together(function: Callable[..., Any], arguments: list[tuple[Any, ...]]) -> list[Any]:
    """Carry out a function in as many processes at once as there are arguments, released together."""
    barrier = _FORK.Barrier(len(arguments))

    def start(*own: Any) -> Any:
        barrier.wait(_TIMEOUT_SECONDS)
        return function(*own)

    children = [Child(start, *own) for own in arguments]
    return [child.result() for child in children]


def _carry_out(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        sender.send((True, function(*arguments)))
    except BaseException:
        sender.send((False, traceback.format_exc()))
        raise
