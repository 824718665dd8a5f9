"""An engine whose process dies in the middle of what it says, or says what cannot be read; as a prompt tells it to."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loresmith.serving.engines.generation import Chosen, Emission, EngineFacts, Generation

HALF_A_LINE, NO_JSON, OTHER_JSON = (7,), (8,), (9,)
"""Prompts at which it fails; at all others it says one token."""

NOT_TAKEN = (6,)
"""The prompt that it breaks down at before it has begun."""

_SAID = {HALF_A_LINE: b'{"said":[{"id":"x"', NO_JSON: b"Segmentation fault\n", OTHER_JSON: b'["said"]\n'}


class DyingEngine:
    def __init__(self) -> None:
        self._asked: list[Generation] = []
        self.facts = EngineFacts(engine="dying", precision="bf16", window=256, slots=4, vocabulary_size=10, path="none")

    @property
    def waiting(self) -> int:
        return 0

    @property
    def running(self) -> int:
        return len(self._asked)

    def add(self, generation: Generation) -> None:
        if generation.prompt == NOT_TAKEN:
            raise AttributeError(f"'int' object has no attribute {generation.id!r}")
        self._asked.append(generation)

    def step(self) -> Sequence[Emission]:
        asked, self._asked = self._asked, []
        for generation in asked:
            if generation.prompt in _SAID:
                os.write(_way_out(), _SAID[generation.prompt])
            if generation.prompt == HALF_A_LINE:
                os.kill(os.getpid(), signal.SIGKILL)
        return [Emission(id=one.id, tokens=(Chosen(id=1),), text="a", finished="stop") for one in asked]

    def cancel(self, id: str) -> None: ...

    def close(self) -> None: ...


def start(_arguments: Mapping[str, Any]) -> DyingEngine:
    return DyingEngine()


def _way_out() -> int:
    """The pipe that the host reads: the only one, besides the standard ones, that is there to be written to."""
    for one in Path("/proc/self/fd").iterdir():
        number = int(one.name)
        try:
            is_pipe = stat.S_ISFIFO(os.fstat(number).st_mode) or stat.S_ISSOCK(os.fstat(number).st_mode)
            writable = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)
        except OSError:
            continue
        if number > 2 and is_pipe and writable:
            return number
    raise AssertionError("there is no way out")
