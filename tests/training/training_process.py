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

import pyarrow.dataset as _dataset  # noqa: F401 - so that the server has it, and what pyarrow imports late
import torch
import torch.distributed.checkpoint as _checkpoint  # noqa: F401 - the same
import torch.distributed.fsdp as _fsdp  # noqa: F401 - the same

from loresmith.factory.step import InputAsset
from loresmith.training import pretrain as _preloaded  # noqa: F401 - so that the server has it
from loresmith.training.steps import PRETRAIN, SFT
from loresmith.training.steps.distil import DISTIL
from tests.step_context import RecordingContext, run_step

STEPS = {step.name: step for step in (PRETRAIN, SFT, DISTIL)}
"""By name, since steps themselves cannot be sent to another process."""

METHOD = multiprocessing.get_context("forkserver")
METHOD.set_forkserver_preload([__name__])


class WritingContext(RecordingContext):
    """Writes every metric to a file at once, as the factory's event pipe would."""

    def metric(self, name: str, value: float, position: float) -> None:
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, value, position]) + "\n")


def _run(folder: Path, step: str, settings: Mapping[str, Any], inputs: Mapping[str, InputAsset]) -> None:
    torch.set_num_threads(1)
    run_step(STEPS[step], folder, settings, inputs, WritingContext(folder))
    (folder / "done").touch()


def start(folder: Path, step: str, settings: Mapping[str, Any], inputs: Mapping[str, InputAsset]) -> ForkServerProcess:
    """Begin or go on with a training whose state and outputs lie in `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "metrics.jsonl").unlink(missing_ok=True)
    process = METHOD.Process(target=_run, args=(folder, step, dict(settings), dict(inputs)))
    process.start()
    return process
