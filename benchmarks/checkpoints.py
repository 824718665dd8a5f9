"""What checkpoints cost: the share of a training's time that is lost to them, at one a minute.

    python benchmarks/checkpoints.py [--json]

The demo's model (6.9M parameters, Muon and AdamW, bf16 over fp32 masters) is trained on random tokens, in rounds of so
many steps that a checkpoint is written well before the round is over. Every second round begins one. The median
difference of two rounds that follow one another is what a checkpoint costs, all in all: the copy that training waits
for, and what the thread that hashes, writes and flushes takes away from the steps meanwhile. Beside it stands the wait
for the copy alone, and how long a checkpoint takes when training waits for all of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

import torch

from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.cpu_training import use_fast_parts
from loresmith.training.allocator import keep_freed_memory
from loresmith.training.causal_lm import CausalLM
from loresmith.training.checkpoint import Checkpoint, CheckpointStore
from loresmith.training.checkpoint_writer import CheckpointWriter
from loresmith.training.loop import Trainer
from loresmith.training.objective import Batch, MicroBatch
from loresmith.training.optimiser import Optimiser
from loresmith.training.predictor import Predictor
from loresmith.training.schedule import ScheduleSettings
from loresmith.training.settings import OptimiserSettings

VOCABULARY, ROWS, LENGTH = 4096, 8, 256
EVERY = 60.0
"""Seconds from one checkpoint to the next."""


def new_trainer() -> Trainer:
    keep_freed_memory()
    config = transformers_config(Architecture(layers=6, width=256), vocabulary_size=VOCABULARY, positions=LENGTH)
    model = build_model(config, seed=0)
    use_fast_parts(model)
    optimiser = Optimiser(model, OptimiserSettings(), torch.bfloat16)
    trainer = Trainer(Predictor(model), optimiser, ScheduleSettings(), 10**9, seed=0)
    trainer.predictor.train()
    return trainer


def batch(step: int) -> Batch:
    ids = torch.randint(0, VOCABULARY, (ROWS, LENGTH + 1), generator=torch.Generator().manual_seed(step))
    return Batch((MicroBatch(ids[:, :-1], ids[:, 1:], torch.ones(ROWS, LENGTH)),), ROWS * LENGTH)


def state(trainer: Trainer) -> Checkpoint:
    return Checkpoint(trainer.step, trainer.tokens, trainer.optimiser.masters, trainer.optimiser.state())


def measure(rounds: int, steps: int, folder: Path) -> dict[str, float]:
    """Seconds lost to a checkpoint, and the share that is of a minute."""
    trainer, objective = new_trainer(), CausalLM()
    with_one: list[float] = []
    without: list[float] = []
    waits: list[float] = []

    def train(count: int) -> None:
        for _ in range(count):
            trainer.forward_backward(batch(trainer.step), objective)
            trainer.optim_step()

    with closing(CheckpointWriter(CheckpointStore(folder))) as writer:
        train(3)
        writer.begin(state(trainer))  # the first one pays for its memory
        written = writer.collect(wait=True)
        assert written is not None
        size = sum(file.stat().st_size for file in written.directory.iterdir())
        for _ in range(rounds):
            began = time.perf_counter()
            train(steps)
            without.append(time.perf_counter() - began)
            began = time.perf_counter()
            writer.begin(state(trainer))
            waits.append(time.perf_counter() - began)
            train(steps)
            with_one.append(time.perf_counter() - began)
            assert not writer.busy, "a round is too short: raise --steps"
            writer.collect()
        began = time.perf_counter()
        writer.begin(state(trainer))
        writer.collect(wait=True)
        whole = time.perf_counter() - began
    lost = statistics.median(one - none for one, none in zip(with_one, without, strict=True))
    return {
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "checkpoint_bytes": size,
        "seconds_of_a_step": statistics.median(without) / steps,
        "seconds_waited_for_the_copy": statistics.median(waits),
        "seconds_lost_to_a_checkpoint": lost,
        "seconds_to_write_one_and_wait": whole,
        "share_lost": lost / EVERY,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=8, help="steps in a round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments.rounds, arguments.steps, Path(folder))
    for name, value in found.items():
        print(f"{name:<32} {value:>14.4f}")
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
