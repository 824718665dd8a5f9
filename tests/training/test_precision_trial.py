"""A model that does not compute in bfloat16 is found before the first step, by trying, and left as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from loresmith.errors import UserError
from loresmith.factory.step import InputAsset
from loresmith.training.device import choose_precision
from loresmith.training.precision_trial import settle_precision
from loresmith.training.steps import PRETRAIN
from tests.models.tiny_families import tiny_model
from tests.step_context import RecordingContext, run_step
from tests.training.tiny_tokens import TINY

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU nothing is tried")
CPU = torch.device("cpu")
native = pytest.mark.skipif(choose_precision("auto", CPU) != torch.bfloat16, reason="this processor has no bfloat16")


class MixesTypes(nn.Module):
    """A feed-forward that computes in fp32 and takes its own weight to be so too."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(width))

    def forward(self, x: Tensor) -> Tensor:
        return (x.float() @ self.weight).to(x.dtype)


class MixesTypesBackwards(nn.Module):
    """One whose backward pass does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(width))

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = _Product.apply(x, self.weight)
        return product


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return x @ weight

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        return (gradients[0].float() @ weight.t()).to(gradients[0].dtype), None


def model(feed_forward: type[nn.Module] | None) -> Any:
    made = tiny_model("llama")
    if feed_forward is not None:
        made.model.layers[1].mlp = feed_forward(32)
    return made


@pytest.mark.parametrize("feed_forward", [MixesTypes, MixesTypesBackwards])
def test_bfloat16_that_was_asked_for_and_cannot_be_is_refused_by_name(feed_forward: type[nn.Module]) -> None:
    mixing = model(feed_forward)
    before = {name: parameter.clone() for name, parameter in mixing.named_parameters()}
    with pytest.raises(UserError, match="LlamaForCausalLM cannot be computed in bfloat16 on the CPU") as caught:
        settle_precision("bfloat16", mixing, CPU, print)
    assert caught.value.where == "precision"
    for name, parameter in mixing.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.dtype == torch.float32
        assert parameter.grad is None


@native
def test_what_is_left_open_is_settled_and_said() -> None:
    said: list[str] = []
    assert settle_precision("auto", model(MixesTypes), CPU, said.append) == torch.float32
    assert len(said) == 1
    assert "trained in float32" in said[0]


@pytest.mark.parametrize("family", ["llama", "qwen3_moe", "gpt_oss", "gemma2", "deepseek_v3"])
def test_a_model_that_computes_in_bfloat16_is_left_alone(family: str) -> None:
    said: list[str] = []
    for precision in ("auto", "bfloat16", "float32"):
        chosen = settle_precision(precision, tiny_model(family), CPU, said.append)
        assert chosen == choose_precision(precision, CPU)
    assert said == []


SHAPE = {"num_hidden_layers": 1, "hidden_size": 32, "state_size": 4}
HEADS = {"num_heads": 8, "head_dim": 8, "n_groups": 1}


@pytest.mark.parametrize(
    "architecture",
    [
        {"model_type": "mamba", "overrides": SHAPE},
        {"model_type": "falcon_mamba", "overrides": SHAPE},
        {"model_type": "mamba2", "overrides": {**SHAPE, **HEADS}},
    ],
    ids=lambda architecture: architecture["model_type"],
)
def test_a_state_space_model_is_trained(tokens: InputAsset, tmp_path: Path, architecture: dict[str, Any]) -> None:
    context = RecordingContext(tmp_path)
    settings = {**TINY, "architecture": architecture, "precision": "auto"}
    result = run_step(PRETRAIN, tmp_path, settings, {"tokens": tokens}, context)
    losses = [value for name, value, _ in context.metrics if name == "loss"]
    assert losses[-1] < losses[0]
    assert result.checks[0].passed
