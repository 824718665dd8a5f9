"""torch.compile, layer by layer, where it pays."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from loresmith.models.cpu_training import use_own_parts
from loresmith.training.parallel import decoder_layers

if TYPE_CHECKING:
    from loresmith.training.callbacks import Surroundings
    from loresmith.training.loop import Trainer
    from loresmith.training.objective import Batch, Objective
    from loresmith.training.ranks import Ranks

MEASURED = 4
"""Steps of each kind that are measured, after one that warms up (and compiles)."""

CHOICE = "choices/compile.txt"
"""In the work folder; what lies there goes on record with the training, and is there when it is reproduced."""


def compile_layers(
    wanted: Literal["on", "auto"],
    trainer: Trainer,
    batch: Batch,
    objective: Objective,
    surroundings: Surroundings,
    everyone: Ranks,
) -> bool:
    """Compile the decoder's layers, always or if that makes a step faster.

    Compiled and plain layers round differently, so the choice is kept in `surroundings.work`: a training that goes on,
    or is reproduced, computes as it began where that can be done. Measuring leaves no trace in weights or gradients.

    Args:
        everyone: all processes, also those that share a matrix and have the same rows.

    Returns:
        Whether the layers are compiled.
    """
    kept = surroundings.work / CHOICE
    # Of several processes all do what the first one did, or they would wait for one another for ever.
    wanted_now = everyone.from_first(kept.read_text(encoding="utf-8").strip() if kept.is_file() else "")
    if wanted_now == "plain":
        return False
    if trainer.predictor.dropout is not None:
        surroundings.log(
            "compile: a model that drops out draws by row, which is not compiled; its layers stay as they are"
        )
        return _keep(kept, False)
    if not has_compiler(trainer.model.device):
        surroundings.log("compile: there is no C++ compiler here; the layers are left as they are")
        return _keep(kept, False)
    if wanted == "on" or wanted_now == "compiled":
        _compile(trainer.model)
        return _keep(kept, True)
    plain = _seconds(trainer, batch, objective)
    take_back = _compile(trainer.model)
    compiled = _seconds(trainer, batch, objective)
    plain, compiled = everyone.sum([plain, compiled])
    surroundings.log(f"compile: a step takes {plain:.3f} s as it is and {compiled:.3f} s compiled")
    if compiled >= plain:
        take_back()
    return _keep(kept, compiled < plain)


def _keep(file: Path, compiled: bool) -> bool:
    file.parent.mkdir(exist_ok=True)
    file.write_text("compiled\n" if compiled else "plain\n", encoding="utf-8")
    return compiled


def _compile(model: nn.Module) -> Callable[[], None]:
    """Compile the layers, with their own norms and feed-forwards; returns what undoes it."""
    undo = use_own_parts(model)
    for layer in decoder_layers(model):
        layer.compile()

    def take_back() -> None:
        for layer in decoder_layers(model):
            layer._compiled_call_impl = None
        undo()

    return take_back


def _seconds(trainer: Trainer, batch: Batch, objective: Objective) -> float:
    """Median seconds of forward and backward."""
    trainer.predictor.train()
    times = []
    for _ in range(1 + MEASURED):
        began = time.perf_counter()
        trainer.forward_backward(batch, objective)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
        trainer.drop_collected()
    return statistics.median(times[1:])


def has_compiler(device: torch.device) -> bool:
    """Whether torch.compile has what it needs to make code for this device."""
    if device.type != "cpu":
        return True
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return True
