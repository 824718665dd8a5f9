"""A training that is run again with other kernels is told apart, at the first loss that differs, and they are named."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from loresmith import Workspace
from loresmith.factory.reproduction.report import Reproduction
from loresmith.training.compilation import has_compiler
from tests.factory.conftest import Factory
from tests.factory.test_reproduce import recorded_elsewhere
from tests.training.tiny_tokens import write_tokens

RECIPE = """
base: {{step: pretrain, tokens: {tokens}, architecture: {{layers: 1, width: 32, head_dim: 16}}, budget_tokens: 640, \
batch_tokens: 64, micro_batch_tokens: 32, sequence_length: 16, held_out_interval: 256, held_out_tokens: 200, \
precision: float32}}
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names the kernels of x86")
def test_other_kernels_give_another_model_and_are_found_out(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokens").mkdir()
    tokens = factory.workspace.assets.add("tokens", write_tokens(tmp_path / "tokens").directory)
    run = factory.workspace.run(
        factory.recipe(
            RECIPE.format(tokens=tokens.digest), rest="compute: {threads: 1}\nrelease: {name: m, asset: base}"
        )
    )
    model = factory.workspace.releases["m"].asset()
    assert {"kernels", "mkl", "onednn", "threads"} <= run.actions()["base"].environment["torch"].keys()

    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    monkeypatch.setenv("MKL_ENABLE_INSTRUCTIONS", "SSE4_2")
    found = model.reproduce()
    assert found.first_difference == "test/base"
    (base,) = found.steps
    assert [file.path for output in base.outputs if output.needed for file in output.files] == ["model.safetensors"]
    then = {metric.position: metric.value for metric in run.metrics("base", "loss")}
    loss = {metric.name: metric for metric in base.metrics}["loss"]
    assert list(then)[loss.number - 1] == loss.position
    assert (loss.recorded, loss.values) == (repr(then[loss.position]), len(then))
    assert loss.found is not None
    assert float(loss.found) == pytest.approx(then[loss.position], rel=0.05), "the same sum in another order"
    assert not {"tokens_per_second"} & {metric.name for metric in base.metrics}
    assert {"variables.ATEN_CPU_CAPABILITY", "torch.kernels"} <= {each.name for each in base.environment}


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(torch.device("cpu")), reason="there is no C++ compiler here")
def test_whether_layers_are_compiled_is_not_measured_anew(factory: Factory, tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    tokens = write_tokens(tmp_path / "tokens").directory
    digest = factory.workspace.assets.add("tokens", tokens).digest
    recipe = factory.recipe(
        RECIPE.format(tokens=digest).replace("precision", "compile: auto, precision"), rest="compute: {threads: 1}"
    )
    run = factory.workspace.run(recipe)
    action = run.actions()["base"]
    chosen = action.environment["choices"]["compile"]
    assert [metric.value for metric in run.metrics("base", "compiled")] == [float(chosen == "compiled")]

    def reproduced(workspace: Workspace) -> tuple[Reproduction, float]:
        events: list[Mapping[str, Any]] = []
        found = workspace.assets[action.outputs["model"]].reproduce(events.append)
        assert not [event for event in events if event["event"] == "log" and "a step takes" in event["message"]]
        (compiled,) = [event["value"] for event in events if event["event"] == "metric" and event["name"] == "compiled"]
        return found, compiled

    found, compiled = reproduced(factory.workspace)
    assert found.same
    assert compiled == (chosen == "compiled")

    other = Factory(tmp_path / "other")
    other.workspace.assets.add("tokens", tokens)
    recorded_elsewhere(factory, other, action, choices={"compile": "plain" if compiled else "compiled"})
    assert reproduced(other.workspace)[1] != compiled, "it follows what is on record there"
    other.workspace.close()
