"""torch.compile, layer by layer: the same training, and a choice that is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from loresmith.factory.step import InputAsset
from loresmith.training.compilation import CHOICE, has_compiler
from loresmith.training.steps import PRETRAIN
from tests.step_context import RecordingContext, run_step
from tests.training.tiny_tokens import TINY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_compiler(torch.device("cpu")), reason="there is no C++ compiler here"),
]


def losses(tokens: InputAsset, folder: Path, compile: str) -> tuple[list[float], RecordingContext]:
    context = RecordingContext(folder)
    run_step(PRETRAIN, folder, {**TINY, "compile": compile, "precision": "float32"}, {"tokens": tokens}, context)
    return [value for name, value, _ in context.metrics if name == "loss"], context


def test_compiled_layers_learn_the_same_and_the_canary_is_sent_through_them(tokens: InputAsset, tmp_path: Path) -> None:
    plain, _ = losses(tokens, tmp_path / "plain", "off")
    compiled, context = losses(tokens, tmp_path / "compiled", "on")
    assert compiled[:2] == pytest.approx(plain[:2], rel=1e-5)
    assert compiled == pytest.approx(plain, rel=2e-3)  # Muon rounds to bf16, and what is rounded otherwise drifts apart
    assert ("compiled", 1.0, 0) in context.metrics
    assert any("canary" in name for name, _, _ in context.metrics)


def test_auto_measures_both_says_so_and_keeps_its_choice(tokens: InputAsset, tmp_path: Path) -> None:
    _, context = losses(tokens, tmp_path, "auto")
    (said,) = [line for line in context.logs if line.startswith("compile: a step takes")]
    plain, compiled = (float(part.split()[0]) for part in said.removeprefix("compile: a step takes ").split(" and "))
    chosen = next(value for name, value, _ in context.metrics if name == "compiled")
    assert plain == compiled or chosen == float(compiled < plain)
    kept = next(tmp_path.rglob(CHOICE)).read_text(encoding="utf-8").strip()
    assert kept == ("compiled" if chosen else "plain")
