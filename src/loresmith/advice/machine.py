"""What the machine at hand can do: how fast it trains, and how much memory it has.

Speed is measured and so is different each time; what was measured first is kept in the step's folder of choices, goes
on record, and is what a reproduction reckons with.
"""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from loresmith.advice.part import Part

CHOICE = "choices/machine.txt"
"""In the step's work folder."""

MEASURED = 5
"""Steps that are timed, after one that warms up."""

TOKENS, LENGTH = 2048, 256
"""Of a step of the larger model."""


class Machine(Part):
    """What was measured."""

    threads: int = Field(description="CPU threads that a training gets.")
    memory_bytes: int = Field(description="Memory of the machine.")
    flops_per_second: float = Field(
        description="Floating-point operations a second of a training of 6 million parameters in its fastest step, "
        "counted as 6 for each weight and token. Larger models use a processor better, up to twice as well."
    )
    pilot_tokens_per_second: float = Field(
        description="Tokens a second of a model of the pilot's size, in a step as they come."
    )


def measure(work: Path, threads: int, pilot: Any, vocabulary_size: int, batch_tokens: int, length: int) -> Machine:
    """Train two small models for a few steps, or say what was measured before.

    Args:
        work: the step's folder.
        pilot: the pilot's `Architecture`.
        vocabulary_size: of the pilot's tokenizer.
        batch_tokens, length: of a step and a row of the pilot.
    """
    import psutil

    kept = work / CHOICE
    if kept.is_file():
        try:
            return Machine.model_validate_json(kept.read_text(encoding="utf-8"))
        except ValidationError:  # written by another version
            kept.unlink()
    from loresmith.models.architecture import Architecture
    from loresmith.models.families import count

    shape = Architecture(preset="qwen3-6m")
    found = Machine(
        threads=threads,
        memory_bytes=psutil.virtual_memory().total,
        flops_per_second=6.0 * count(shape, 4096).total * TOKENS / min(_seconds(shape, 4096, TOKENS, LENGTH, threads)),
        pilot_tokens_per_second=batch_tokens
        / statistics.median(_seconds(pilot, vocabulary_size, batch_tokens, length, threads)),
    )
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(found.model_dump_json(), encoding="utf-8")
    return found


def _seconds(shape: Any, vocabulary_size: int, tokens: int, length: int, threads: int) -> list[float]:
    """Seconds that each of some steps of so many tokens takes: forward, backward and update."""
    import torch

    from loresmith.models.architecture import transformers_config
    from loresmith.models.build import build_model
    from loresmith.models.cpu_training import use_fast_parts
    from loresmith.training.causal_lm import CausalLM
    from loresmith.training.device import choose_device, choose_precision
    from loresmith.training.loop import Trainer
    from loresmith.training.loop_settings import LoopSettings
    from loresmith.training.objective import Batch, MicroBatch
    from loresmith.training.optimiser import Optimiser
    from loresmith.training.predictor import Predictor

    settings = transformers_config(shape, vocabulary_size=vocabulary_size, positions=length, end_of_document=0)
    model = build_model(settings, 0)
    device = choose_device()
    if device.type == "cpu":
        use_fast_parts(model)
    torch.nn.Module.to(model, device)
    torch.set_num_threads(threads)
    config = LoopSettings(budget_tokens=tokens, batch_tokens=tokens, sequence_length=length)
    predictor = Predictor(model)
    optimiser = Optimiser(model, config, choose_precision("auto", device))
    trainer = Trainer(predictor, optimiser, config, tokens * (1 + MEASURED), 0)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary_size, (tokens // length, length + 1), generator=generator).to(device)
    weights = torch.ones(tokens // length, length, device=device)
    batch = Batch((MicroBatch(ids[:, :-1], ids[:, 1:], weights),), tokens)
    times: list[float] = []

    class Clock:
        """Notes when each step ends."""

        def after_step(self, _trainer: Trainer, _report: object) -> None:
            times.append(time.perf_counter())

    trainer.train(lambda _step: batch, 1 + MEASURED, CausalLM(), [Clock()])
    return [after - before for before, after in pairwise(times)]
