"""The step `distil`: a student of its teacher, whatever stops it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from loresmith.data.shards import TokenShards
from loresmith.errors import Interrupted, UserError
from loresmith.factory.step import InputAsset
from loresmith.training.steps import DISTIL, PRETRAIN
from tests.step_context import RecordingContext, as_input, run_step
from tests.training.tiny_tokens import TINY, write_tokens

T = 64
SETTINGS: dict[str, Any] = {
    **TINY,
    "architecture": {"layers": 1, "width": 32, "head_dim": 16, "overrides": {"attention_dropout": 0.1}},
    "sequence_length": T,
    "batch_tokens": 2 * T,
    "micro_batch_tokens": T,
    "budget_tokens": 40 * T,
    "likeliest": 16,
    "isolate_documents": True,
}


@pytest.fixture(scope="module")
def teacher(tokens: InputAsset, tmp_path_factory: pytest.TempPathFactory) -> InputAsset:
    settings = {
        **TINY,
        "sequence_length": T,
        "batch_tokens": 4 * T,
        "micro_batch_tokens": 4 * T,
        "budget_tokens": "16k",
    }
    return as_input(
        "model", run_step(PRETRAIN, tmp_path_factory.mktemp("t"), settings, {"tokens": tokens}).outputs["model"]
    )


def model_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "outputs" / "model").iterdir()}


@torch.no_grad()
def distance(divergence: str, teacher: Path, student: Path, tokens: InputAsset) -> float:
    """KL between teacher and student, nats a token, on held-out text, by whole distributions."""
    ids = torch.from_numpy(TokenShards.open(tokens.directory).split("validation").read(0, T).astype("int64"))[None]
    p, q = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(ids).logits.log_softmax(-1)
        for folder in (teacher, student)
    )
    of, to = (p, q) if divergence == "forward" else (q, p)
    return float(torch.nn.functional.kl_div(to, of, log_target=True, reduction="none").sum(-1).mean())


@pytest.mark.parametrize("divergence", ["forward", "reverse"])
def test_a_student_comes_closer_to_its_teacher(
    tokens: InputAsset, teacher: InputAsset, tmp_path: Path, divergence: str
) -> None:
    found = []
    for steps in (1, 30):
        settings = {**SETTINGS, "soft_share": 1, "divergence": divergence, "budget_tokens": steps * 2 * T}
        result = run_step(DISTIL, tmp_path / str(steps), settings, {"tokens": tokens, "teacher": teacher})
        found.append(distance(divergence, teacher.directory, result.outputs["model"].directory, tokens))
    assert found[1] < 0.25 * found[0]


def test_with_no_soft_share_it_is_pretraining(tokens: InputAsset, teacher: InputAsset, tmp_path: Path) -> None:
    plain = {key: value for key, value in SETTINGS.items() if key != "likeliest"} | {"precision": "float32"}
    run_step(PRETRAIN, tmp_path / "plain", plain, {"tokens": tokens}, alone := RecordingContext(tmp_path / "plain"))
    settings = {**SETTINGS, "soft_share": 0, "precision": "float32"}
    run_step(
        DISTIL,
        tmp_path / "d",
        settings,
        {"tokens": tokens, "teacher": teacher},
        taught := RecordingContext(tmp_path / "d"),
    )
    losses = [[value for name, value, _ in context.metrics if name == "loss"] for context in (alone, taught)]
    assert losses[0][:3] == pytest.approx(losses[1][:3], rel=1e-5)
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)  # rounding grows with the steps


def test_stopped_and_continued_equals_never_stopped(tokens: InputAsset, teacher: InputAsset, tmp_path: Path) -> None:
    inputs = {"tokens": tokens, "teacher": teacher}
    whole = RecordingContext(tmp_path / "whole")
    run_step(DISTIL, whole.folder, SETTINGS, inputs, whole)
    parts = tmp_path / "parts"
    for asked_after in (9, 4):
        with pytest.raises(Interrupted):
            run_step(DISTIL, parts, SETTINGS, inputs, RecordingContext(parts, stop_after=asked_after))
    last = RecordingContext(parts)
    run_step(DISTIL, parts, SETTINGS, inputs, last)
    assert any("going on after step" in line for line in last.logs)
    assert model_bytes(parts) == model_bytes(whole.folder)


def test_a_base_is_gone_on_from_and_its_teacher_stays_as_it_is(
    tokens: InputAsset, teacher: InputAsset, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in teacher.directory.iterdir()}
    settings = {key: value for key, value in SETTINGS.items() if key != "architecture"} | {"budget_tokens": 4 * T}
    context = RecordingContext(tmp_path)
    run_step(DISTIL, tmp_path, settings, {"tokens": tokens, "teacher": teacher, "base": teacher}, context)
    assert {path.name: path.read_bytes() for path in teacher.directory.iterdir()} == before
    first = next(value for name, value, _ in context.metrics if name == "loss")
    assert first < 0.5, "its own teacher: there is only the text's share to learn"


def test_a_teacher_of_another_tokenizer_is_refused_before_the_first_step(teacher: InputAsset, tmp_path: Path) -> None:
    from loresmith.models.storage import load_tokenizer
    from tests.training import fim_tokenizer

    others = write_tokens(tmp_path / "tokens", tokenizer=load_tokenizer(fim_tokenizer.directory()))
    context = RecordingContext(tmp_path)
    with pytest.raises(UserError, match="another tokenizer than the teacher's") as caught:
        run_step(DISTIL, tmp_path, SETTINGS, {"tokens": others, "teacher": teacher}, context)
    assert caught.value.where == str(others.directory / "tokenizer" / "tokenizer.json")
    assert context.metrics == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the kernels")
def test_a_base_in_4_bits_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    settings = {key: value for key, value in SETTINGS.items() if key != "architecture"}
    missing = {
        role: InputAsset("0" * 64, kind, tmp_path / "nowhere", {}, ())
        for role, kind in (("tokens", "tokens"), ("teacher", "model"), ("base", "model"))
    }
    with pytest.raises(UserError, match="4-bit kernels need an NVIDIA GPU"):
        run_step(DISTIL, tmp_path, {**settings, "adapter": {"quantise_base": True}}, missing)
