"""An engine that computes what the reference does passes on every path; one that nearly does, does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from loresmith.ledger.receipts import Receipt
from loresmith.models.storage import load_tokenizer
from loresmith.serving.engines.embedded.torch_engine import TorchEngine
from loresmith.serving.parity.asking import NEW_TOKENS, ask_all, asking_engine
from loresmith.serving.parity.comparison import Comparison, compare
from loresmith.serving.parity.prompts import parity_prompts, prompt_set_digest
from loresmith.serving.parity.receipt import PARITY, evidence, installed, receipt_covers
from loresmith.serving.parity.reference import Reference
from tests.serving.engines.served_models import VOCABULARY, write_tiny
from tests.serving.parity.wrong_engines import Ends, GoesOn, LosesLastToken, ShiftedPositions

WINDOW = 320


def compared(engine: Any, directory: Path) -> Comparison:
    prompts, left_out = parity_prompts(load_tokenizer(directory), engine.facts.vocabulary_size, WINDOW - NEW_TOKENS)
    answered = ask_all(asking_engine(engine), engine.facts, prompts, left_out)
    return compare(answered, Reference(directory), None)


@pytest.mark.parametrize(
    ("model_type", "dtype", "path"),
    [
        ("qwen3", torch.bfloat16, "fast"),
        ("gemma3_text", torch.bfloat16, "generic"),
        ("mamba2", torch.float32, "one by one"),
        pytest.param(
            *("xlstm", torch.bfloat16, "one by one, from the first token, by autocast"), marks=pytest.mark.slow
        ),
    ],
)
def test_each_path_computes_what_the_reference_does(
    tmp_path: Path, model_type: str, dtype: torch.dtype, path: str
) -> None:
    directory = write_tiny(tmp_path, model_type, dtype)
    engine = TorchEngine(directory, dtype=dtype, slots=8, window=WINDOW)
    assert engine.facts.path in (path, f"{path}, compiled")  # where functions can be compiled
    comparison = compared(engine, directory)
    assert comparison.because() == []
    assert comparison.tokens > 300
    assert comparison.agreement > (0.92 if model_type == "xlstm" else 0.95)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (ShiftedPositions, "on average"),
        (LosesLastToken, "on average"),
        (GoesOn, "goes on behind the token that ends it"),
        (Ends, "ends where the reference goes on"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_engine_that_is_nearly_right_does_not_pass(
    tmp_path: Path, wrong: type[TorchEngine], said: str, dtype: torch.dtype
) -> None:
    directory = write_tiny(tmp_path, "qwen3", dtype)
    comparison = compared(wrong(directory, dtype=dtype, slots=8, window=WINDOW), directory)
    assert said in "; ".join(comparison.because())


def test_an_engine_that_differs_in_company_is_seen(tmp_path: Path) -> None:
    directory = write_tiny(tmp_path, "qwen3", torch.bfloat16)
    engine = TorchEngine(directory, slots=8, window=WINDOW)
    assert compared(engine, directory).batch_invariant
    crowded: Any = engine._network.forward

    def disturbed(layout: Any) -> Any:
        return crowded(layout) + 1e-3 * (len(layout.segments) > 1) * torch.linspace(0, 1, VOCABULARY)

    engine._network.forward = disturbed  # type: ignore[method-assign]
    comparison = compared(engine, directory)
    assert not comparison.batch_invariant


def test_prompts_are_of_many_kinds_and_fit(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_tiny(tmp_path, "qwen3"))
    prompts, left_out = parity_prompts(tokenizer, VOCABULARY, 288)
    assert {prompt.name for prompt in prompts} >= {"prose", "Python", "a table", "a conversation", "random tokens"}
    assert list(left_out) == ["several hundred tokens"]
    assert all(0 < len(prompt.ids) <= 288 for prompt in prompts)
    tokenizer.chat_template = None
    _, without = parity_prompts(tokenizer, VOCABULARY, 288)
    assert "carries no chat template" in without["a conversation"]


def receipt(said: dict[str, Any], kind: str = PARITY) -> Receipt:
    return Receipt(subject="0" * 64, kind=kind, passed=True, evidence=said, actor="ada", at="now", envelope={})


def test_a_receipt_is_about_one_engine_precision_and_software(tmp_path: Path) -> None:
    directory = write_tiny(tmp_path, "qwen3", torch.bfloat16)
    engine = TorchEngine(directory, slots=8, window=WINDOW)
    prompts, left_out = parity_prompts(load_tokenizer(directory), VOCABULARY, WINDOW - NEW_TOKENS)
    answered = ask_all(asking_engine(engine), engine.facts, prompts, left_out)
    said = evidence(answered, compare(answered, Reference(directory), None), {})
    json.dumps(said, allow_nan=False)
    assert said["prompt_set"] == prompt_set_digest()
    assert "because" not in said

    assert receipt_covers(receipt(said), "torch", "bf16") is None
    assert "torch at bf16" in (receipt_covers(receipt(said), "torch", "fp32") or "")
    assert "torch at bf16" in (receipt_covers(receipt(said), "openvino", "bf16") or "")
    assert "gate" in (receipt_covers(receipt(said, "gate"), "torch", "bf16") or "")
    for package in ("loresmith", "torch", "transformers"):
        older = {**said, "versions": {**said["versions"], package: "0.0.9"}}
        assert receipt_covers(receipt(older), "torch", "bf16") == (
            f"{package} was 0.0.9 when it was made, and is {installed(package)} now"
        )
    patched = {**said, "versions": {**said["versions"], "torch": installed("torch") + ".post1"}}
    assert receipt_covers(receipt(patched), "torch", "bf16") is None


def test_a_remote_server_of_another_version_is_not_covered() -> None:
    said = {"engine": "openai", "precision": "bf16", "engine_version": "0.32.1", "versions": {}}
    assert receipt_covers(receipt(said), "openai", "bf16", "0.32.4") is None
    assert "is 0.33.0 now" in (receipt_covers(receipt(said), "openai", "bf16", "0.33.0") or "")
