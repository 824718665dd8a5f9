"""Loresmith: the loop itself for speed, the `pretrain` step's own settings for quality."""

from __future__ import annotations

import math
import time

import torch

from benchmarks.training import contest
from loresmith.models.cpu_training import use_fast_parts
from loresmith.training.allocator import keep_freed_memory
from loresmith.training.causal_lm import CausalLM
from loresmith.training.loop import Trainer
from loresmith.training.optimiser import Optimiser
from loresmith.training.predictor import Predictor
from loresmith.training.schedule import ScheduleSettings
from loresmith.training.settings import OptimiserSettings


def trainer_of(model: torch.nn.Module, budget: int, **settings: float) -> Trainer:
    keep_freed_memory()
    use_fast_parts(model)
    optimiser = Optimiser(model, OptimiserSettings(**settings), torch.bfloat16)
    return Trainer(Predictor(model), optimiser, ScheduleSettings(), budget, seed=0)


def speed(given: object) -> None:
    trainer = trainer_of(contest.our_model(), 10**9)
    batches, objective = contest.batches(given.tokens), CausalLM()
    trainer.predictor.train()

    def step(number: int) -> None:
        trainer.optim_step(trainer.forward_backward(batches.batch(number), objective))

    say = contest.tokens_per_second(step, given.steps, contest.BATCH * contest.LENGTH)
    contest.say(tokens_per_second=say, parameters=sum(p.numel() for p in trainer.model.parameters()))


def quality(given: object) -> None:
    """Train for so many seconds: the schedule's budget follows from the speed of the first steps."""
    rows = 8
    batches, objective = contest.batches(given.tokens, rows), CausalLM()
    trial = trainer_of(contest.our_model(), 10**9)
    trial.predictor.train()
    rate = contest.tokens_per_second(
        lambda number: void(trial.optim_step(trial.forward_backward(batches.batch(number), objective))),
        10,
        rows * contest.LENGTH,
    )
    began = time.perf_counter()
    steps = math.floor(given.seconds * rate / (rows * contest.LENGTH))
    trainer = trainer_of(
        contest.our_model(),
        steps * rows * contest.LENGTH,
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


def void(_: object) -> None: ...


if __name__ == "__main__":
    chosen = contest.arguments(embedding=0.03)
    quality(chosen) if chosen.seconds else speed(chosen)
