"""A training of several processes, one of which is killed: its run is interrupted, and ends as if nothing had been."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from tests.factory.conftest import Factory
from tests.training.tiny_tokens import write_tokens

RECIPE = """
base: {{step: pretrain, tokens: {tokens}, architecture: {{layers: 1, width: 32, head_dim: 16}}, budget_tokens: 5120, \
batch_tokens: 64, micro_batch_tokens: 32, sequence_length: 16, held_out_interval: 10000, held_out_tokens: 200, \
checkpoint_seconds: 0.05}}
"""


def prepared(factory: Factory, folder: Path) -> Path:
    """The recipe, of tokens that are an asset of the workspace."""
    folder.mkdir()
    tokens = factory.workspace.assets.add("tokens", write_tokens(folder).directory)
    return factory.recipe(RECIPE.format(tokens=tokens.digest), rest="compute: {processes: 2, threads: 2}")


def second_process(factory: Factory) -> psutil.Process:
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            ours = "loresmith.factory.rank" in words and any(str(factory.folder) in word for word in words)
            if ours and process.environ().get("RANK") == "1":
                return process
        except psutil.Error:
            continue
    raise AssertionError("there is no second process")


@pytest.mark.slow
def test_a_process_killed_in_the_middle_interrupts_the_run_and_changes_nothing(
    factory: Factory, tmp_path: Path
) -> None:
    whole = Factory(tmp_path / "whole")
    expected = whole.workspace.run(prepared(whole, tmp_path / "tokens")).actions()["base"].outputs
    whole.workspace.close()

    recipe = prepared(factory, tmp_path / "the same tokens")
    process = factory.start(recipe)
    deadline = time.monotonic() + 60
    while not list(factory.folder.glob(".loresmith/work/*/state/checkpoints/step-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    second_process(factory).kill()
    killed_at = time.monotonic()
    _, message = process.communicate(timeout=60)
    assert time.monotonic() - killed_at < 30
    assert process.returncode == 130
    assert "of the step's 2 processes, number 2 was ended by SIGKILL" in message
    assert "--resume" in message
    assert [run.status for run in factory.workspace.runs] == ["interrupted"]

    run = factory.workspace.run(recipe)
    assert run.status == "completed"
    assert "going on after step" in (run.folder / "base.log").read_text()
    assert run.actions()["base"].outputs == expected
