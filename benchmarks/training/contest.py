"""What all contestants share: the model's geometry, the rows, the scoring, and how a step is timed."""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from loresmith.data.shards import TokenShards
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.training.batches import RowBatches
from loresmith.training.held_out import HeldOut
from loresmith.training.stream_rows import StreamRows

LENGTH, BATCH = 256, 16
"""Tokens in a row, and rows in a step."""

LAYERS, WIDTH, INNER, VOCABULARY = 8, 320, 576, 8192
"""A Qwen3 of 12.9M parameters, embeddings not tied."""

HELD_OUT_TOKENS = 60_000
THREADS = 2


def arguments(**extra: Any) -> argparse.Namespace:
    """The command line of a contestant."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.0)
    for name, default in extra.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    torch.set_num_threads(THREADS)
    return parser.parse_args()


def say(**numbers: Any) -> None:
    """The contestant's result: one line of JSON, the last."""
    print(json.dumps(numbers), flush=True)


def plain_model(**shape: Any) -> Any:
    """The contest's model as transformers initialises it, in fp32."""
    import transformers

    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config(**shape), dtype=torch.float32)


def our_model(**shape: Any) -> Any:
    """The same with our initialisation."""
    return build_model(config(**shape), seed=0)


def config(**shape: Any) -> Any:
    architecture = Architecture(**({"family": "qwen3", "layers": LAYERS, "width": WIDTH, "ffn_width": INNER} | shape))
    return transformers_config(architecture, vocabulary_size=VOCABULARY, positions=2048, end_of_document=0)


def batches(tokens: Path, rows: int = BATCH, length: int = LENGTH) -> RowBatches:
    source = StreamRows(TokenShards.open(tokens).split("train"), length)
    return RowBatches(source, length, rows * length, rows * length, seed=1)


def all_rows(tokens: Path) -> np.ndarray:
    """(rows, LENGTH + 1) ids: the rows of an epoch in the order in which `batches` shows them."""
    source = batches(tokens)
    rows = [source._row(number)[1] for number in range(len(source.source))]
    return np.stack([np.concatenate([row.inputs, row.targets[-1:]]) for row in rows])


def held_out(tokens: Path, model: Any) -> float:
    """Bits per byte of a model on the validation split, by the one scorer of Loresmith."""
    return HeldOut(TokenShards.open(tokens), HELD_OUT_TOKENS, LENGTH, 4096).bits_per_byte(model)


def median_interval(ends: list[float]) -> float:
    """Median seconds of a step, of which these are the ends; the first two warm up."""
    return statistics.median(after - before for before, after in itertools.pairwise(ends[2:]))


def tokens_per_second(step: Callable[[int], None], steps: int, tokens: int) -> float:
    """By the median of so many steps, after two that warm up."""
    times = []
    for number in range(steps + 2):
        began = time.perf_counter()
        step(number)
        times.append(time.perf_counter() - began)
    return tokens / statistics.median(times[2:])
