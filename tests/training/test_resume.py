"""Kill it anywhere: what comes out is what comes out of a training that was never killed, bit for bit."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from loresmith.errors import Interrupted
from loresmith.factory.step import InputAsset
from loresmith.models.storage import load_tokenizer
from loresmith.training.checkpoint import CheckpointStore, file_digest
from tests.step_context import RecordingContext, run_step
from tests.training import fim_tokenizer
from tests.training.tiny_messages import TINY_SFT, write_chat_base, write_dataset
from tests.training.tiny_tokens import TINY, write_base, write_tokens
from tests.training.training_process import STEPS, start

SETTINGS = {
    **TINY,
    "architecture": {"layers": 1, "width": 32, "head_dim": 16},
    "budget_tokens": 64 * 40,
    "held_out_interval": 640,
    "checkpoint_seconds": 0.03,
}


@dataclass(frozen=True)
class Case:
    """A way of training that must come through kills.

    Attributes:
        kills: how many it gets; every second one falls into the writing of a checkpoint.
        settings: beside those of `of`; None takes one away.
        inputs: by role, the names of `assets`.
        step: which kind of step, by its name.
    """

    kills: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=lambda: {"tokens": "tokens"})
    step: str = "pretrain"
    of: Mapping[str, Any] = field(default_factory=lambda: SETTINGS)

    def all_settings(self) -> dict[str, Any]:
        return {key: value for key, value in {**self.of, **self.settings}.items() if value is not None}


CASES = {
    "bf16": Case(3, {}),
    "dropout": Case(
        3,
        {"architecture": {**SETTINGS["architecture"], "overrides": {"attention_dropout": 0.1}}},  # type: ignore[dict-item]
    ),
    "accumulation, in fp32": Case(2, {"micro_batch_tokens": 16, "precision": "float32"}),
    "adapter, with dropout": Case(
        3, {"architecture": None, "adapter": {"rank": 4, "dropout": 0.1}}, inputs={"tokens": "tokens", "base": "base"}
    ),
    "documents apart, in the middle of an epoch": Case(3, {"isolate_documents": True, "batch_tokens": 128}),
    "AdamW, with averaged weights": Case(2, {"optimiser": "adamw", "average_decay": 0.9, "z_loss": 1e-4}),
    "fill-in-the-middle, with dropout": Case(
        2,
        {
            "architecture": {**SETTINGS["architecture"], "overrides": {"attention_dropout": 0.1}},  # type: ignore[dict-item]
            "isolate_documents": True,
            "sequence_length": 64,
            "batch_tokens": 128,
            "micro_batch_tokens": 64,
            "budget_tokens": 128 * 30,
            "fim": {"rate": 0.7, "level": "line", "longest_middle": 8},
        },
        inputs={"tokens": "tokens with sentinels"},
    ),
    "fine-tuning on conversations": Case(
        2,
        {"checkpoint_seconds": 0.03, "architecture": None, "epochs": 4},
        inputs={"dataset": "talks", "base": "base that talks"},
        step="sft",
        of=TINY_SFT,
    ),
    "fine-tuning of an adapter, with dropout and padded rows": Case(
        2,
        {
            "checkpoint_seconds": 0.03,
            "architecture": None,
            "epochs": 4,
            "packing": False,
            "adapter": {"rank": 4, "dropout": 0.1},
        },
        inputs={"dataset": "talks", "base": "base that talks"},
        step="sft",
        of=TINY_SFT,
    ),
    "distillation, with dropout": Case(
        2,
        {
            "likeliest": 16,
            "soft_share": 0.5,
            "architecture": {**SETTINGS["architecture"], "overrides": {"attention_dropout": 0.1}},  # type: ignore[dict-item]
        },
        inputs={"tokens": "tokens", "teacher": "base"},
        step="distil",
    ),
    "a mixture of experts": Case(
        2, {"architecture": {"layers": 1, "width": 32, "head_dim": 16, "family": "qwen3_moe", "experts": 4}}
    ),
    "replay": Case(
        2,
        {"architecture": None, "replay_share": 0.25},
        inputs={"tokens": "tokens", "base": "base", "replay": "other tokens"},
    ),
}
"""At least one for every objective, and one for everything else that keeps a state or draws at random."""


@pytest.fixture(scope="module")
def assets(tokens: InputAsset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, InputAsset]:
    new = tmp_path_factory.mktemp
    sentinels = load_tokenizer(fim_tokenizer.directory())
    return {
        "tokens": tokens,
        "other tokens": write_tokens(new("other") / "asset", train=25, validation=3),
        "base": write_base(new("base"), tokens),
        "tokens with sentinels": write_tokens(new("sentinels") / "asset", tokenizer=sentinels),
        "talks": write_dataset(new("talks")),
        "base that talks": write_chat_base(new("talking")),
    }


Whole = Callable[[Case], Path]


@pytest.fixture(scope="module")
def whole(assets: Mapping[str, InputAsset], tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Gives the folder of a case's training that was never killed."""
    made: dict[int, Path] = {}

    def of(case: Case) -> Path:
        if id(case) not in made:
            made[id(case)] = folder = tmp_path_factory.mktemp("whole")
            process = start(folder, case.step, case.all_settings(), inputs_of(case, assets))
            process.join()
            assert process.exitcode == 0
        return made[id(case)]

    return of


def inputs_of(case: Case, assets: Mapping[str, InputAsset]) -> dict[str, InputAsset]:
    return {role: assets[name] for role, name in case.inputs.items()}


def left(folder: Path) -> dict[str, Any]:
    """What a training leaves: what it saved, its books, and the state behind its last step."""
    newest = CheckpointStore(folder / "work" / "checkpoints").list()[0]
    state = json.loads((newest / "state.json").read_text(encoding="utf-8"))
    state["history"] = [row for row in state["history"] if row[0] != "tokens_per_second"]
    files = [*(folder / "outputs").rglob("*"), *newest.glob("*.safetensors")]
    return {"state": state} | {path.name: file_digest(path) for path in files if path.is_file()}


def curve(folder: Path) -> dict[tuple[str, float], float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [(name, position, value) for name, value, position in lines if name != "tokens_per_second"]
    assert len({row[:2] for row in rows}) == len(rows)  # every position once
    return {(name, position): value for name, position, value in rows}


def reached(folder: Path) -> float:
    """Position of the last step that was reported."""
    metrics = folder / "metrics.jsonl"
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    return json.loads(lines[-1])[2] if lines and lines[-1].endswith("]") else 0.0


def writing(folder: Path) -> bool:
    return any((folder / "work" / "checkpoints").glob(".writing-*"))


def test_there_are_as_many_kills_as_were_promised() -> None:
    assert sum(case.kills for case in CASES.values()) >= 20
    assert sum(case.kills // 2 for case in CASES.values()) >= 8, "of which so many fall into a write"


@pytest.mark.parametrize("name", CASES)
def test_killed_at_random_moments_and_while_writing_checkpoints(
    name: str, whole: Whole, assets: Mapping[str, InputAsset], tmp_path: Path
) -> None:
    case, draw, folder = CASES[name], random.Random(name), tmp_path / "killed"
    budget = max(position for _, position in curve(whole(case)))
    kills = too_late = 0
    while kills < case.kills:
        process = start(folder, case.step, case.all_settings(), inputs_of(case, assets))
        position = draw.uniform(kills, kills + 1) / (case.kills + 1) * budget
        while reached(folder) < position and process.is_alive():
            time.sleep(0.001)
        if kills % 2:
            while not writing(folder) and process.is_alive():
                time.sleep(0.0002)
        else:
            time.sleep(draw.uniform(0, 0.03))
        in_time = process.is_alive()
        process.kill()
        process.join()
        if in_time:
            kills += 1
        else:  # the machine was busy with others: from the beginning, as what is done has nothing to go on with
            assert process.exitcode == 0
            shutil.rmtree(folder)
            kills, too_late = 0, too_late + 1
            assert too_late < 5
    process = start(folder, case.step, case.all_settings(), inputs_of(case, assets))
    process.join()
    assert process.exitcode == 0
    assert left(folder) == left(whole(case))
    assert curve(folder) == curve(whole(case))


def test_a_damaged_newest_checkpoint_costs_time_and_nothing_else(
    whole: Whole, assets: Mapping[str, InputAsset], tmp_path: Path
) -> None:
    case = CASES["dropout"]
    with pytest.raises(Interrupted):
        run_step(
            STEPS[case.step],
            tmp_path,
            case.all_settings(),
            inputs_of(case, assets),
            RecordingContext(tmp_path, stop_after=30),
        )
    newest = CheckpointStore(tmp_path / "work" / "checkpoints").list()[0] / "masters.safetensors"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    context = RecordingContext(tmp_path)
    run_step(STEPS[case.step], tmp_path, case.all_settings(), inputs_of(case, assets), context)
    assert any("is damaged" in line for line in context.logs)
    assert left(tmp_path) == left(whole(case))


def test_a_request_to_stop_is_met_within_a_step_and_loses_nothing(
    whole: Whole, assets: Mapping[str, InputAsset], tmp_path: Path
) -> None:
    case = CASES["dropout"]
    settings = {**case.all_settings(), "checkpoint_seconds": 1000}
    stopped_at = 0.0
    for asked_after in (15, 3, 1):
        context = RecordingContext(tmp_path, stop_after=asked_after)
        with pytest.raises(Interrupted):
            run_step(STEPS[case.step], tmp_path, settings, inputs_of(case, assets), context)
        (_, saved_at) = context.checkpoints[-1]
        assert saved_at == max(position for name, _, position in context.metrics if name == "loss")
        assert saved_at > stopped_at, "it goes on from where it stopped, not from the beginning"
        assert any("going on after step" in line for line in context.logs) == (stopped_at > 0)
        stopped_at = saved_at
    context = RecordingContext(tmp_path)
    run_step(STEPS[case.step], tmp_path, settings, inputs_of(case, assets), context)
    assert left(tmp_path) == left(whole(case))
    assert {(n, p): v for n, v, p in context.metrics if n != "tokens_per_second"} == curve(whole(case))
