"""Loresmith: the loop with all that looks on in a `pretrain`, but for held-out numbers; for quality 8 rows a
step and learning rates of the embeddings that suit a training of few tokens."""

from __future__ import annotations

import math
import tempfile
import time
from contextlib import closing
from pathlib import Path

import torch

from benchmarks.training import contest
from loresmith.models.cpu_training import use_fast_parts
from loresmith.training.allocator import keep_freed_memory
from loresmith.training.callbacks import Checkpoints, Curve
from loresmith.training.causal_lm import CausalLM
from loresmith.training.checkpoint import CheckpointStore
from loresmith.training.checkpoint_writer import CheckpointWriter
from loresmith.training.compilation import compile_layers
from loresmith.training.loop import Trainer
from loresmith.training.optimiser import Optimiser
from loresmith.training.predictor import Predictor
from loresmith.training.schedule import ScheduleSettings
from loresmith.training.settings import OptimiserSettings
from loresmith.training.spikes import LossSpikes

ROWS = 8
"""Of a step, where quality is measured."""

CALIBRATION = 30
"""Steps whose speed tells how many fit into the time."""


class Nobody:
    """Surroundings in which a training is watched by no one."""

    def __init__(self, work: Path) -> None:
        self.work = work

    def log(self, message: str) -> None: ...

    def progress(self, done: float, total: float | None, unit: str, /, **numbers: float) -> None: ...

    def metric(self, name: str, value: float, position: float) -> None: ...

    def checkpoint(self, directory: Path, position: float) -> None: ...

    def stop_requested(self) -> bool:
        return False


class Times:
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def after_step(self, trainer: Trainer, report: object) -> None:
        self.ends.append(time.perf_counter())


def trainer_of(model: torch.nn.Module, budget: int, **settings: float) -> Trainer:
    keep_freed_memory()
    use_fast_parts(model)
    optimiser = Optimiser(model, OptimiserSettings(**settings), torch.bfloat16)
    return Trainer(Predictor(model), optimiser, ScheduleSettings(), budget, seed=0)


def speed(given: object) -> None:
    trainer = trainer_of(contest.our_model(), 10**9)
    batches, objective = contest.batches(given.tokens), CausalLM()
    with tempfile.TemporaryDirectory() as folder:
        nobody, steps = Nobody(Path(folder)), given.steps + 3
        if given.compile:
            compile_layers("on", trainer, batches.batch(0), objective, nobody)
        curve, times = Curve(nobody, steps, 10**9), Times()
        with closing(CheckpointWriter(CheckpointStore(nobody.work / "checkpoints"))) as writer:
            checkpoints = Checkpoints(writer, curve, nobody, 60.0, trainer.ranks)
            trainer.train(batches.batch, steps, objective, [curve, LossSpikes(curve, nobody), checkpoints, times])
    rate = contest.BATCH * contest.LENGTH / contest.median_interval(times.ends)
    contest.say(tokens_per_second=rate, parameters=sum(p.numel() for p in trainer.model.parameters()))


def quality(given: object) -> None:
    """Train for so many seconds: the schedule's budget follows from the speed of the first steps."""
    batches, objective = contest.batches(given.tokens, ROWS), CausalLM()
    trial, times = trainer_of(contest.our_model(), 10**9), Times()
    trial.train(batches.batch, CALIBRATION, objective, [times])
    steps = math.floor(given.seconds / contest.median_interval(times.ends))
    began = time.perf_counter()
    trainer = trainer_of(
        contest.our_model(),
        steps * ROWS * contest.LENGTH,
        embedding_learning_rate=given.embedding,
        head_learning_rate=0.012,
    )
    losses: list[float] = []

    class Watch:
        def after_step(self, trainer: Trainer, report: object) -> None:
            losses.append(report.loss)

    trainer.train(batches.batch, steps, objective, [Watch()])
    seconds = time.perf_counter() - began
    contest.say(
        bits_per_byte=contest.held_out(given.tokens, trainer.model),
        seconds=seconds,
        tokens=trainer.tokens,
        loss=sum(losses[-20:]) / 20,
    )


if __name__ == "__main__":
    chosen = contest.arguments(embedding=0.3, compile=0)
    quality(chosen) if chosen.seconds else speed(chosen)
