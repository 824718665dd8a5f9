"""The fast forms of a model's parts for training on the CPU, without a compiler.

Parts are told by what they compute, not by their class: a module that has the members of an RMSNorm, or of a gated
feed-forward with silu, is tried on a few numbers in fp32, and keeps its own code unless both agree. So a family with a
twist (Gemma scales by 1 + w) is left alone rather than got wrong.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from loresmith.models import attention
from loresmith.models.mixture import use_grouped_products
from loresmith.models.rms_norm import rms_norm
from loresmith.models.swiglu import swiglu

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Forward = Callable[[Tensor], Tensor]

TOLERANCE = 1e-5


@dataclass(frozen=True)
class _Fast:
    """A fast form, in the place of a module's own forward function."""

    compute: Forward

    def __call__(self, x: Tensor) -> Tensor:
        return self.compute(x)


def use_fast_parts(model: PreTrainedModel) -> dict[str, int]:
    """Replace the forward functions of a model's norms and feed-forwards, and its attention where the model lets one.

    Experts are computed by grouped matrix products, see `loresmith.models.mixture`.

    Weights, their names and what is saved stay as they are; so does the function that the model computes, up to
    rounding.

    Returns:
        How many modules of each kind were replaced.
    """
    replaced = {
        "attention": int(attention.use(model)),
        "experts": use_grouped_products(model),
        "rms_norm": 0,
        "swiglu": 0,
    }
    for module in model.modules():
        for kind, candidate in (("rms_norm", _fast_rms_norm), ("swiglu", _fast_swiglu)):
            fast = candidate(module)
            if fast is not None and _takes_one_input(module) and _agree(module, candidate):
                module.forward = _Fast(fast)
                replaced[kind] += 1
    return replaced


def use_own_parts(model: nn.Module) -> Callable[[], None]:
    """Give norms and feed-forwards their own code back: a compiler fuses that, and better than ours.

    Returns:
        What undoes it.
    """
    fast = {module: forward for module in model.modules() if isinstance(forward := vars(module).get("forward"), _Fast)}
    for module in fast:
        del module.forward

    def undo() -> None:
        for module, forward in fast.items():
            module.forward = forward

    return undo


def _fast_rms_norm(module: Any) -> Forward | None:
    epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    weight = getattr(module, "weight", None)
    if not isinstance(epsilon, float) or not isinstance(weight, nn.Parameter) or weight.ndim != 1:
        return None
    if "rmsnorm" not in type(module).__name__.lower() or getattr(module, "bias", None) is not None:
        return None
    return lambda x: rms_norm(x, module.weight, epsilon)


def _fast_swiglu(module: Any) -> Forward | None:
    parts = [getattr(module, name, None) for name in ("gate_proj", "up_proj", "down_proj")]
    if not all(isinstance(part, nn.Linear) for part in parts):
        return None
    return lambda x: module.down_proj(swiglu(module.gate_proj(x), module.up_proj(x)))


def _takes_one_input(module: nn.Module) -> bool:
    """Not so the norms of Mamba2 and of gated linear attention, which may or must be given a gate besides."""
    return len(inspect.signature(module.forward).parameters) == 1


@torch.no_grad()
def _agree(module: nn.Module, candidate: Callable[[Any], Forward | None]) -> bool:
    """Whether the module and its fast form give the same on four rows of numbers, in fp32."""
    trial = copy.deepcopy(module).float()
    fast = candidate(trial)
    width = next(trial.parameters()).shape[-1]
    generator = torch.Generator().manual_seed(0)
    for parameter in trial.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    x = torch.randn(1, 4, width, generator=generator)
    return fast is not None and torch.allclose(trial(x), fast(x), rtol=TOLERANCE, atol=TOLERANCE)
