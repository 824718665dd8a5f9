"""An engine that takes as long to load as a test wants, or cannot be loaded; otherwise as `dying_engine`.

The folder that the environment's GATES names has a file for each model that something is up with, called as the model's
directory is: `wait`, and it is loaded when the file has gone; `die`, and its process ends; else why it is refused. The
file `loads` there says what was to be loaded, a line each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loresmith.errors import UserError
from tests.serving.engines.dying_engine import DyingEngine


class GatedEngine(DyingEngine):
    def __init__(self, directory: str) -> None:
        super().__init__()
        gates = Path(os.environ["GATES"])
        gate = gates / Path(directory).name
        with (gates / "loads").open("a") as loads:
            loads.write(f"{gate.name}\n")
        while (what := gate.read_text() if gate.exists() else "") == "wait":
            time.sleep(0.02)
        if what == "die":
            os._exit(3)
        if what:
            raise UserError(what)


def start(arguments: Mapping[str, Any]) -> GatedEngine:
    return GatedEngine(arguments["directory"])
