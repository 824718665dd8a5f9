"""Kill it anywhere: what comes out is what comes out of a training that was never killed, bit for bit."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from loresmith.errors import Interrupted
from loresmith.factory.step import InputAsset
from loresmith.training.checkpoint import CheckpointStore
from loresmith.training.steps import PRETRAIN
from tests.step_context import RecordingContext, run_step
from tests.training.tiny_tokens import TINY
from tests.training.training_process import start

KILLS = 10
BUDGET = 64 * 150
SETTINGS = {
    **TINY,
    "architecture": {"layers": 2, "width": 32, "head_dim": 16, "overrides": {"attention_dropout": 0.1}},
    "budget_tokens": BUDGET,
    "held_out_interval": "4k",
    "checkpoint_seconds": 0.05,
}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "outputs" / "model").iterdir()}


def curve(folder: Path) -> dict[tuple[str, float], float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [(name, position, value) for name, value, position in lines if name != "tokens_per_second"]
    assert len({row[:2] for row in rows}) == len(rows)  # every position once
    return {(name, position): value for name, position, value in rows}


@pytest.fixture(scope="module")
def never_stopped(tokens: InputAsset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    process = start(folder, SETTINGS, tokens)
    process.join()
    assert process.exitcode == 0
    return folder


def reached(folder: Path) -> float:
    """Position of the last step that was reported."""
    metrics = folder / "metrics.jsonl"
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    return json.loads(lines[-1])[2] if lines and lines[-1].endswith("]") else 0.0


def writing(folder: Path) -> bool:
    return any((folder / "work" / "checkpoints").glob(".writing-*"))


def test_killed_at_random_moments_and_while_writing_checkpoints(
    never_stopped: Path, tokens: InputAsset, tmp_path: Path
) -> None:
    draw = random.Random(0)
    killed_in_a_write = 0
    for kill in range(KILLS):
        process = start(tmp_path, SETTINGS, tokens)
        position = draw.uniform(kill, kill + 1) / (KILLS + 1) * BUDGET
        while reached(tmp_path) < position and process.is_alive():
            time.sleep(0.001)
        if kill % 2:
            while not writing(tmp_path) and process.is_alive():
                time.sleep(0.0002)
            killed_in_a_write += 1
        else:
            time.sleep(draw.uniform(0, 0.03))
        assert process.is_alive()
        process.kill()
        process.join()
    assert killed_in_a_write == KILLS // 2
    process = start(tmp_path, SETTINGS, tokens)
    process.join()
    assert process.exitcode == 0
    assert files(tmp_path) == files(never_stopped)
    assert curve(tmp_path) == curve(never_stopped)


def test_a_damaged_newest_checkpoint_costs_time_and_nothing_else(
    never_stopped: Path, tokens: InputAsset, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        run_step(PRETRAIN, tmp_path, SETTINGS, {"tokens": tokens}, RecordingContext(tmp_path, stop_after=70))
    newest = CheckpointStore(tmp_path / "work" / "checkpoints").list()[0] / "masters.safetensors"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    context = RecordingContext(tmp_path)
    run_step(PRETRAIN, tmp_path, SETTINGS, {"tokens": tokens}, context)
    assert any("is damaged" in line for line in context.logs)
    assert files(tmp_path) == files(never_stopped)


def test_a_request_to_stop_is_met_within_a_step_and_loses_nothing(
    never_stopped: Path, tokens: InputAsset, tmp_path: Path
) -> None:
    settings = {**SETTINGS, "checkpoint_seconds": 1000}
    stopped_at = 0.0
    for asked_after in (40, 3, 1):
        context = RecordingContext(tmp_path, stop_after=asked_after)
        with pytest.raises(Interrupted):
            run_step(PRETRAIN, tmp_path, settings, {"tokens": tokens}, context)
        (_, saved_at) = context.checkpoints[-1]
        assert saved_at == max(position for name, _, position in context.metrics if name == "loss")
        assert saved_at > stopped_at, "it goes on from where it stopped, not from the beginning"
        assert any("going on after step" in line for line in context.logs) == (stopped_at > 0)
        stopped_at = saved_at
    context = RecordingContext(tmp_path)
    run_step(PRETRAIN, tmp_path, settings, {"tokens": tokens}, context)
    assert files(tmp_path) == files(never_stopped)
    assert {(n, p): v for n, v, p in context.metrics if n != "tokens_per_second"} == curve(never_stopped)
