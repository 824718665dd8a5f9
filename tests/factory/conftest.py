"""A workspace in a temporary folder, recipes in it, and other processes that run them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loresmith import Workspace

RUN_SCRIPT = """
import sys
from loresmith import Workspace
from loresmith.errors import LoresmithError
try:
    with Workspace.open(sys.argv[1]) as workspace:
        workspace.run(sys.argv[2])
except LoresmithError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_status)
"""


class Factory:
    """A workspace and the means to use it from this process and from others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = Workspace.init(folder)

    def recipe(self, steps: str, name: str = "test", rest: str = "") -> Path:
        """Write a recipe; `steps` are lines such as `a: {step: write-text, text: x}`."""
        path = self.folder / f"{name}.yaml"
        path.write_text(f"name: {name}\nseed: 1\nsteps:\n  " + "\n  ".join(steps.strip().split("\n")) + f"\n{rest}\n")
        return path

    def start(self, recipe: Path) -> subprocess.Popen[str]:
        """Run a recipe in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", RUN_SCRIPT, str(self.folder), str(recipe)],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def events(self, kind: str) -> list[tuple[str, str | None]]:
        """(run, step) of every event of a kind, over all runs."""
        ledger = self.workspace.ledger
        return [
            (run.id, event.step)
            for run in ledger.runs.list(limit=1000)
            for event in ledger.runs.events(run.id)
            if event.kind == kind
        ]


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    made = Factory(tmp_path / "workspace")
    yield made
    made.workspace.close()
