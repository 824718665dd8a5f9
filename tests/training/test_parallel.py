"""How many processes train a model decides how fast it goes, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from loresmith.errors import Interrupted
from loresmith.factory.step import InputAsset
from loresmith.training.checkpoint import CheckpointStore
from tests.step_context import RecordingContext, run_step
from tests.training.ranks import INTERRUPTED, RankPool, train
from tests.training.tiny_messages import TINY_SFT, write_chat_base, write_dataset
from tests.training.tiny_tokens import TINY, write_base
from tests.training.training_process import STEPS

SETTINGS: dict[str, Any] = {
    **TINY,
    "precision": "float32",
    "budget_tokens": 64 * 10,
    "checkpoint_seconds": 0.01,
    "keep_checkpoints": 1,
}
ONE_LAYER = {"layers": 1, "width": 32, "head_dim": 16}
MIXTURE = {**ONE_LAYER, "family": "qwen3_moe", "experts": 4, "experts_per_token": 2}

CASES: dict[str, dict[str, Any]] = {
    "fp32": {},
    "bf16, documents apart": {"precision": "bfloat16", "isolate_documents": True},
    "dropout, AdamW, averages, activations computed again": {
        "architecture": {**ONE_LAYER, "overrides": {"attention_dropout": 0.1}},
        "optimiser": "adamw",
        "average_decay": 0.9,
        "activation_checkpointing": True,
    },
    "a mixture of experts": {"architecture": MIXTURE},
    "tied embeddings": {"architecture": {**ONE_LAYER, "tied_embeddings": True}},
    "an adapter, in bf16": {"architecture": None, "adapter": {"rank": 4, "dropout": 0.1}, "precision": "bfloat16"},
    "three rows for two": {"batch_tokens": 48, "budget_tokens": 48 * 10, "architecture": ONE_LAYER},
}
"""Micro-batches hold two rows in all of them, alone or not, so that even the order of sums is the same."""


@pytest.fixture(scope="module")
def pair() -> Iterator[RankPool]:
    pool = RankPool(2)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def assets(tokens: InputAsset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, InputAsset]:
    return {"tokens": tokens, "base": write_base(tmp_path_factory.mktemp("base"), tokens)}


def settings_of(case: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**SETTINGS, **case}.items() if value is not None}


def inputs_of(case: Mapping[str, Any], assets: Mapping[str, InputAsset]) -> dict[str, InputAsset]:
    return dict(assets) if "adapter" in case else {"tokens": assets["tokens"]}


def train_alone(folder: Path, settings: Mapping[str, Any], inputs: Mapping[str, InputAsset]) -> RecordingContext:
    context = RecordingContext(folder)
    run_step(STEPS["pretrain"], folder, settings, inputs, context)
    return context


def outputs(folder: Path) -> dict[str, bytes]:
    files = [path for path in (folder / "outputs").rglob("*") if path.is_file()]
    return {path.name: path.read_bytes() for path in files}


def final_state(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = CheckpointStore(folder / "work" / "checkpoints").load_newest(pytest.fail)
    assert checkpoint is not None
    return {**checkpoint.masters, **checkpoint.optimiser}


def curve(folder: Path) -> dict[tuple[str, float], float]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return {(name, position): value for name, value, position in rows if name != "tokens_per_second"}


@pytest.mark.parametrize("name", CASES)
def test_two_processes_give_what_one_gives_to_the_bit(
    name: str, pair: RankPool, assets: Mapping[str, InputAsset], tmp_path: Path
) -> None:
    settings, inputs = settings_of(CASES[name]), inputs_of(CASES[name], assets)
    pair.call(train, tmp_path / "two", "pretrain", settings, inputs, [None, None])
    context = train_alone(tmp_path / "one", settings, inputs)
    assert curve(tmp_path / "two") == {(n, p): v for n, v, p in context.metrics if n != "tokens_per_second"}
    assert outputs(tmp_path / "two") == outputs(tmp_path / "one")
    one, two = final_state(tmp_path / "one"), final_state(tmp_path / "two")
    assert one.keys() == two.keys()
    for key, tensor in one.items():
        assert torch.equal(tensor, two[key]), key


def test_whatever_the_objective(pair: RankPool, assets: Mapping[str, InputAsset], tmp_path: Path) -> None:
    talks = {"dataset": write_dataset(tmp_path / "talks"), "base": write_chat_base(tmp_path / "base")}
    taught = {"tokens": assets["tokens"], "teacher": assets["base"]}
    fine_tuning = {**TINY_SFT, "precision": "float32", "epochs": 1, "keep_checkpoints": 1}
    distillation = {**SETTINGS, "architecture": ONE_LAYER, "likeliest": 16, "soft_share": 0.5, "budget_tokens": 320}
    for step, settings, inputs in (("sft", fine_tuning, talks), ("distil", distillation, taught)):
        pair.call(train, tmp_path / step / "two", step, settings, inputs, [None, None])
        run_step(STEPS[step], tmp_path / step / "one", settings, inputs, RecordingContext(tmp_path / step / "one"))
        assert outputs(tmp_path / step / "two") == outputs(tmp_path / step / "one")


def test_sums_in_another_order_differ_by_rounding_alone(
    pair: RankPool, assets: Mapping[str, InputAsset], tmp_path: Path
) -> None:
    dropout = {**ONE_LAYER, "overrides": {"attention_dropout": 0.1}}
    settings = settings_of({"optimiser": "adamw", "architecture": dropout})
    settings["adam_epsilon"] = 1e-3  # far from the sign of a tiny gradient
    inputs = {"tokens": assets["tokens"]}
    for micro_batch in (16, 48):
        folder = tmp_path / str(micro_batch)
        changed = {**settings, "micro_batch_tokens": micro_batch, "batch_tokens": 48, "budget_tokens": 480}
        pair.call(train, folder / "two", "pretrain", changed, inputs, [None, None])
        context = train_alone(folder / "one", changed, inputs)
        losses = {position: value for name, value, position in context.metrics if name == "loss"}
        assert len(losses) == 10
        for position, loss in losses.items():
            assert curve(folder / "two")["loss", position] == pytest.approx(loss, rel=1e-5)
        one, two = (load_file(folder / way / "outputs/model/model.safetensors") for way in ("one", "two"))
        for key, tensor in one.items():
            assert torch.allclose(tensor, two[key], rtol=1e-4, atol=1e-5), key


@pytest.mark.parametrize("name", [name for name in CASES if name == "fp32" or "adapter" in name or "AdamW" in name])
@pytest.mark.parametrize("began_with", [1, 2])
def test_what_so_many_processes_began_others_go_on_with(
    began_with: int, name: str, pair: RankPool, assets: Mapping[str, InputAsset], tmp_path: Path
) -> None:
    settings, inputs = settings_of({**CASES[name], "held_out_interval": 10_000}), inputs_of(CASES[name], assets)
    train_alone(tmp_path / "whole", settings, inputs)
    folder = tmp_path / "changed"
    if began_with == 1:
        with pytest.raises(Interrupted):
            run_step(STEPS["pretrain"], folder, settings, inputs, RecordingContext(folder, stop_after=6))
        pair.call(train, folder, "pretrain", settings, inputs, [None, None])
    else:
        assert pair.call(train, folder, "pretrain", settings, inputs, [6, None]) == [INTERRUPTED] * 2
        context = train_alone(folder, settings, inputs)
        assert any("going on after step" in line for line in context.logs)
    assert outputs(folder) == outputs(tmp_path / "whole")


def test_a_request_to_stop_that_one_of_them_gets_stops_all_at_the_same_step(
    pair: RankPool, assets: Mapping[str, InputAsset], tmp_path: Path
) -> None:
    settings, inputs = settings_of({"checkpoint_seconds": 1000}), {"tokens": assets["tokens"]}
    assert pair.call(train, tmp_path, "pretrain", settings, inputs, [None, 3]) == [INTERRUPTED] * 2
    (newest,) = CheckpointStore(tmp_path / "work" / "checkpoints").list()
    positions = [max(position for _, position in curve(folder)) for folder in (tmp_path, tmp_path / "rank-1")]
    assert positions == [64 * int(newest.name[-8:])] * 2


def fails_when_one_is_killed(folder: Path, settings: Mapping[str, Any], inputs: Mapping[str, InputAsset]) -> bool:
    """Whether the training, one of whose processes was killed, failed in the other: it may have been over by then."""
    shutil.rmtree(folder, ignore_errors=True)
    doomed = RankPool(2)
    doomed.begin(train, folder, "pretrain", settings, inputs, [None, None])
    deadline = time.monotonic() + 60
    while not list(folder.glob("work/checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    doomed.processes[1].kill()
    began = time.monotonic()
    said = None
    try:
        doomed.results(60)
    except (AssertionError, EOFError) as error:
        said = str(error)
    assert time.monotonic() - began < 60
    doomed.close()
    assert said is None or re.search(r"peer|closed|reset|[Bb]roken pipe|^$", said)
    return said is not None


def test_when_one_is_killed_the_other_ends_and_both_go_on_as_if_nothing_had_been(
    pair: RankPool, assets: Mapping[str, InputAsset], tmp_path: Path
) -> None:
    settings = settings_of({"budget_tokens": 64 * 40, "precision": "bfloat16"})
    inputs = {"tokens": assets["tokens"]}
    pair.call(train, tmp_path / "whole", "pretrain", settings, inputs, [None, None])
    attempts = (fails_when_one_is_killed(tmp_path / "killed", settings, inputs) for _ in range(5))
    assert any(attempts), "it was always over before"
    pair.call(train, tmp_path / "killed", "pretrain", settings, inputs, [None, None])
    assert outputs(tmp_path / "killed") == outputs(tmp_path / "whole")
