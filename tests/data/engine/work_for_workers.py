"""Functions that worker processes carry out in the tests."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from loresmith.data.engine.finished import once
from loresmith.data.engine.local_engine import local_engine
from loresmith.errors import UserError


def square(number: int) -> int:
    time.sleep(0.03 * (number % 3))
    return number * number


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    if number >= 2:
        raise UserError(f"{number} is too much", where="here", hint="take less")
    return number


def break_down(number: int) -> int:
    return 1 // number


def threads(_item: int) -> tuple[int, str | None]:
    return os.getpid(), os.environ.get("OMP_NUM_THREADS")


def make_slowly(folder: Path) -> int:
    """Makes a folder of two files with a pause in which it can be killed; returns whether it had to."""
    made = []

    def fill(target: Path) -> None:
        made.append(target)
        (target / "one").write_text(folder.name)
        time.sleep(0.4)
        (target / "two").write_text(folder.name)

    once(folder, fill)
    return len(made)


def main(folder: Path) -> None:
    """Make eight folders with two workers."""
    with local_engine(2, 1 << 30, folder / "tables") as engine:
        for number in engine.map(make_slowly, [folder / f"made-{number}" for number in range(8)]):
            print(number, flush=True)
