"""A process that carries out the real step, so that it can be killed.

It is forked from a server that has imported the libraries, so that starting one takes a moment and not seconds.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from loresmith.factory.step import InputAsset, Step
from loresmith.training import pretrain as _preloaded  # noqa: F401 - so that the server has it
from tests.step_context import RecordingContext, run_step

_METHOD = multiprocessing.get_context("forkserver")
_METHOD.set_forkserver_preload([__name__])


class _WritingContext(RecordingContext):
    """Writes every metric to a file at once, as the factory's event pipe would."""

    def metric(self, name: str, value: float, position: float) -> None:
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, value, position]) + "\n")


def _run(folder: Path, step: Step, settings: Mapping[str, Any], inputs: Mapping[str, InputAsset]) -> None:
    torch.set_num_threads(1)
    run_step(step, folder, settings, inputs, _WritingContext(folder))
    (folder / "done").touch()


def start(folder: Path, step: Step, settings: Mapping[str, Any], inputs: Mapping[str, InputAsset]) -> ForkServerProcess:
    """Begin or go on with a training whose state and outputs lie in `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "metrics.jsonl").unlink(missing_ok=True)
    process = _METHOD.Process(target=_run, args=(folder, step, dict(settings), dict(inputs)))
    process.start()
    return process
