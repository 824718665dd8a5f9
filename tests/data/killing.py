"""Work that is killed wherever it says how far it is, and with a real signal, and goes on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Files = dict[str, bytes]
CarryOut = Callable[[Path, Any], Files]
"""Does the work in a folder, from where it is there, and gives what came of it. With a function, that is called
whenever the work says how far it is."""


class Killed(BaseException):
    """As if the process were killed."""


def require_going_on(carry_out: CarryOut, folder: Path, wanted: Files, every: int) -> int:
    """Kill the work at every so many of its safe points: what was finished is not done again, and the same comes of it.

    Returns:
        How many safe points there are.
    """
    moments: list[str] = []
    carry_out(folder / "counted", lambda done, total, unit: moments.append(unit))
    for at in range(0, len(moments), every):
        here = folder / f"killed-{at}"
        seen: list[str] = []

        def kill(done: float, total: float | None, unit: str, at: int = at, seen: list[str] = seen) -> None:
            seen.append(unit)
            if len(seen) > at:
                raise Killed

        with pytest.raises(Killed):
            carry_out(here, kill)
        before = _finished(here)
        after: list[dict[Path, int]] = []

        def look(
            done: float, total: float | None, unit: str, here: Path = here, after: list[dict[Path, int]] = after
        ) -> None:
            after.append(_finished(here))

        assert carry_out(here, look) == wanted, f"killed after {seen}"
        assert all(after[-1][path] == when for path, when in before.items()), f"made again after {seen}"
        assert len(before) >= at
    return len(moments)


def require_survival(
    program: str, arguments: Sequence[str], stages: Sequence[str], carry_out: CarryOut, folder: Path, wanted: Files
) -> None:
    """Kill a process as soon as a stage has finished anything: the next start makes the same of it.

    Args:
        program: gets the arguments, and then the folder.
        stages: paths below the folder where they put what they have finished.
    """
    for stage in stages:
        for number in range(5):  # whoever looked too late finds the work done, and has it begin anew
            here = folder / f"{stage.replace('/', '-')}-{number}"
            process = subprocess.Popen(
                [sys.executable, "-c", program, *arguments, str(here)], cwd=Path(__file__).parents[2]
            )
            while process.poll() is None and not any(path.name[0] != "." for path in (here / stage).glob("*")):
                time.sleep(0.002)
            in_time = process.poll() is None
            process.kill()
            process.wait()
            if in_time:
                break
        assert in_time, f"{stage} was never there"
        assert carry_out(here, None) == wanted, stage


def _finished(folder: Path) -> dict[Path, int]:
    """When the tables of finished shards were written."""
    found = {}
    for path in folder.glob("work/**/*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            found[path] = path.stat().st_mtime_ns
    return found
