"""Tokens a second of the engines, and of transformers' `generate` on the same prompts in the same process.

A prompt has 200 tokens and an answer 64, written to its end whatever the model would; time counts from the first
request to the last token, prefill included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from loresmith.serving.engines.generation import Generation, Sampling

if TYPE_CHECKING:
    from loresmith.serving.engines.engine import Engine

PROMPT, ANSWER = 200, 64
CONCURRENT = (1, 8, 32)


def prompts(count: int, vocabulary_size: int) -> list[list[int]]:
    """Random ids: what they say does not matter for the time they take."""
    generator = np.random.default_rng(0)
    return [generator.integers(100, vocabulary_size - 100, PROMPT).tolist() for _ in range(count)]


def engine_rate(engine: Engine, count: int) -> float:
    """Output tokens a second with `count` requests at once."""
    asked = [
        Generation(
            id=str(number),
            prompt=tuple(ids),
            max_new_tokens=ANSWER,
            min_new_tokens=ANSWER,
            sampling=Sampling(temperature=0),
        )
        for number, ids in enumerate(prompts(count, engine.facts.vocabulary_size))
    ]
    begun = time.perf_counter()
    for one in asked:
        engine.add(one)
    tokens = 0
    while engine.waiting or engine.running:
        tokens += sum(len(said.tokens) for said in engine.step())
    assert tokens == count * ANSWER, tokens
    return tokens / (time.perf_counter() - begun)


def generate_rate(model: Any, count: int) -> float:
    """The same with `generate`, all in one batch."""
    import torch

    ids = torch.tensor(prompts(count, model.config.vocab_size))
    begun = time.perf_counter()
    with torch.inference_mode():
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=ANSWER,
            min_new_tokens=ANSWER,
            do_sample=False,
            pad_token_id=0,
        )
    assert out.shape[1] == PROMPT + ANSWER
    return count * ANSWER / (time.perf_counter() - begun)


def compare(directory: Path, others: dict[str, Engine], threads: int, rounds: int) -> dict[str, Any]:
    """Tokens a second by engine and by requests at once, and how many times those of `generate` that is.

    Contestants take turns, so that a machine that grows slow is slow for all.
    """
    import torch

    from loresmith.models.storage import load_weights
    from loresmith.serving.engines.embedded.torch_engine import TorchEngine

    torch.set_num_threads(threads)
    reference = load_weights(directory, torch.bfloat16)
    engines: dict[str, Engine] = {"torch": TorchEngine(directory, slots=max(CONCURRENT), window=512), **others}
    runs: dict[str, Callable[[int], float]] = {
        "generate": lambda count: generate_rate(reference, count),
        **{name: (lambda count, engine=engine: engine_rate(engine, count)) for name, engine in engines.items()},
    }
    found: dict[str, list[float]] = {name: [] for name in runs}
    for count in CONCURRENT:
        rates: dict[str, list[float]] = {name: [] for name in runs}
        for turn in range(rounds + 1):
            for name, run in runs.items():
                rate = run(count)
                if turn:  # the first turn warms up
                    rates[name].append(rate)
        for name, measured in rates.items():
            found[name].append(median(measured))
    ratios = {
        name: [ours / theirs for ours, theirs in zip(found[name], found["generate"], strict=True)]
        for name in found
        if name != "generate"
    }
    return {"output_tok_s": found, "times_generate": ratios}


def openvino_engine(exported: Path, directory: Path, threads: int) -> Engine:
    """The same model in OpenVINO's form, in int8."""
    from loresmith.serving.engines.exported_model import ExportedModel
    from loresmith.serving.engines.openvino_engine import OpenvinoEngine

    engine: Engine = OpenvinoEngine(
        directory, ExportedModel(directory=exported), slots=max(CONCURRENT), window=512, threads=threads
    )
    return engine
