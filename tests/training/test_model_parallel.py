"""Layers that are divided among processes compute what whole ones compute, up to the order of sums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from loresmith.errors import UserError
from loresmith.factory.compute import Compute
from loresmith.factory.step import InputAsset
from loresmith.training.compilation import CHOICE
from loresmith.training.parallel import Division
from loresmith.training.ranks import Ranks
from tests.step_context import RecordingContext, run_step
from tests.training.ranks import INTERRUPTED, RankPool, train
from tests.training.test_parallel import SETTINGS, curve, final_state
from tests.training.training_process import STEPS

SHAPE = {"layers": 2, "width": 32, "head_dim": 8, "kv_heads": 2}
MIXTURE = {**SHAPE, "family": "qwen3_moe", "experts": 4, "experts_per_token": 2}
# AdamW far from the sign of a tiny gradient: what is compared is the gradient, not how an optimiser magnifies rounding.
EVEN = {**SETTINGS, "optimiser": "adamw", "adam_epsilon": 1e-3, "budget_tokens": 64 * 6}

CASES: dict[str, tuple[dict[str, int], dict[str, Any]]] = {
    "tensors": ({"tensor_parallel": 2}, {"architecture": SHAPE}),
    "tensors, documents apart, tied": (
        {"tensor_parallel": 2},
        {"architecture": {**SHAPE, "tied_embeddings": True}, "isolate_documents": True},
    ),
    "experts": ({"expert_parallel": 2}, {"architecture": MIXTURE}),
}


@pytest.fixture(scope="module")
def pair() -> Iterator[RankPool]:
    pool = RankPool(2)
    yield pool
    pool.close()


def losses(curve_of: Mapping[tuple[str, float], float]) -> list[float]:
    return [value for (name, _), value in sorted(curve_of.items()) if name in ("loss", "held_out_bits_per_byte")]


def alone(folder: Path, settings: Mapping[str, Any], tokens: InputAsset) -> list[float]:
    context = RecordingContext(folder)
    run_step(STEPS["pretrain"], folder, settings, {"tokens": tokens}, context)
    return losses({(name, position): value for name, value, position in context.metrics})


@pytest.mark.parametrize("name", CASES)
def test_a_model_of_divided_layers_learns_what_a_whole_one_learns(
    name: str, pair: RankPool, tokens: InputAsset, tmp_path: Path
) -> None:
    division, settings = CASES[name]
    settings = {**EVEN, **settings}
    pair.call(train, tmp_path / "two", "pretrain", settings, {"tokens": tokens}, [None, None], **division)
    assert losses(curve(tmp_path / "two")) == pytest.approx(alone(tmp_path / "one", settings, tokens), rel=1e-5)
    one, two = final_state(tmp_path / "one"), final_state(tmp_path / "two")
    assert one.keys() == two.keys()
    for key, tensor in one.items():
        assert torch.allclose(tensor, two[key], rtol=1e-3, atol=1e-5), key
    names = [{path.name for path in (tmp_path / way / "outputs" / "model").iterdir()} for way in ("one", "two")]
    assert names[0] == names[1]


def test_processes_that_share_a_matrix_follow_one_choice(pair: RankPool, tokens: InputAsset, tmp_path: Path) -> None:
    """One that measured whether compiling pays, while the other knows, would wait for it for ever."""
    kept = tmp_path / "work" / CHOICE
    kept.parent.mkdir(parents=True)
    kept.write_text("plain\n", encoding="utf-8")
    settings = {**EVEN, "architecture": SHAPE, "compile": "auto"}
    pair.call(train, tmp_path, "pretrain", settings, {"tokens": tokens}, [None, None], tensor_parallel=2)
    assert not (tmp_path / "rank-1" / "work" / CHOICE).exists()


@pytest.mark.parametrize(
    ("division", "architecture"), [({"tensor_parallel": 2}, SHAPE), ({"expert_parallel": 2}, MIXTURE)]
)
def test_muon_in_bf16_goes_on_from_a_checkpoint_of_divided_layers_with_one_process(
    division: dict[str, int], architecture: dict[str, Any], pair: RankPool, tokens: InputAsset, tmp_path: Path
) -> None:
    settings = {**SETTINGS, "precision": "bfloat16", "architecture": architecture, "held_out_interval": 10_000}
    whole = alone(tmp_path / "whole", settings, tokens)
    folder = tmp_path / "changed"
    stopped = pair.call(train, folder, "pretrain", settings, {"tokens": tokens}, [4, None], **division)
    assert stopped == [INTERRUPTED] * 2
    assert alone(folder, settings, tokens) == pytest.approx(whole, rel=0.02)


@pytest.mark.parametrize(
    ("division", "settings", "said"),
    [
        ({"tensor_parallel": 2}, {"architecture": MIXTURE}, "does not divide mixtures of experts"),
        (
            {"tensor_parallel": 2},
            {"architecture": {**SHAPE, "kv_heads": 1}},
            "does not divide the model's num_key_value",
        ),
        (
            {"tensor_parallel": 2},
            {"architecture": {**SHAPE, "overrides": {"attention_dropout": 0.1}}},
            "would drop the same",
        ),
        ({"expert_parallel": 2}, {"architecture": SHAPE}, "needs a mixture of experts"),
        ({"expert_parallel": 2}, {"architecture": {**MIXTURE, "experts": 3}}, "does not divide 3 experts"),
    ],
)
def test_what_cannot_be_divided_so_is_refused_by_name(
    division: dict[str, int], settings: dict[str, Any], said: str, pair: RankPool, tokens: InputAsset, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=f"UserError: .*{said}"):
        pair.call(train, tmp_path, "pretrain", {**EVEN, **settings}, {"tokens": tokens}, [None, None], **division)


def test_what_does_not_work_together_is_refused_when_the_recipe_is_read() -> None:
    for compute in (
        {"processes": 4, "tensor_parallel": 2},
        {"processes": 2, "tensor_parallel": 2, "expert_parallel": 2},
    ):
        with pytest.raises(ValueError, match=r"nothing else works|cannot be combined"):
            Compute.model_validate(compute)
    for division in (Division(Ranks(0, 4), 2), Division(Ranks(0, 2), 2, 2)):
        with pytest.raises(UserError):
            division.require_sense()
