"""Where a model keeps its experts and their routers.

transformers gives every mixture of experts the same form: a module with the weights of all experts in one tensor each,
(E, out, in) or, in a few families, (E, in, out); and beside it a router, whose weight has a row an expert.

Legend: E experts, k experts of a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from loresmith.models import expert_groups

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

ROUTER_NAMES = {"gate", "router"}
TOP_K_KEYS = ("num_experts_per_tok", "moe_topk")
"""What configs call k; most map their own name to the first."""

ALIGNMENT = 8
"""Numbers of two bytes that make 16."""


@dataclass(frozen=True)
class ExpertParameter:
    """One parameter of all experts.

    Attributes:
        parameter: (E, ...).
        fan_in: how many inputs one expert's matrix has; None for a bias.
    """

    parameter: nn.Parameter
    fan_in: int | None


@dataclass(frozen=True)
class Mixture:
    """The experts of a model.

    Attributes:
        count: E, of each layer that has experts.
        active: k.
        experts: parameters of experts by their names in the model.
        routers: names of the modules that choose experts.
    """

    count: int
    active: int
    experts: dict[str, ExpertParameter]
    routers: frozenset[str]

    @classmethod
    def of(cls, model: PreTrainedModel) -> Mixture | None:
        """The experts of a model, also one on the meta device; None where it has none."""
        modules = {name: module for name, module in model.named_modules() if has_experts(module)}
        if not modules:
            return None
        count = int(next(iter(modules.values())).num_experts)
        active = experts_per_token(model.config.get_text_config(decoder=True)) or count
        experts = {
            f"{name}.{part}": ExpertParameter(parameter, _fan_in(module, parameter))
            for name, module in modules.items()
            for part, parameter in module.named_parameters(recurse=False)
        }
        routers = frozenset(name for name, module in model.named_modules() if _is_router(name, module, count))
        return cls(count, active, experts, routers)


def experts_per_token(config: PreTrainedConfig) -> int:
    """k by a config of the text part; 0 where it does not say."""
    return next((int(k) for key in TOP_K_KEYS if (k := getattr(config, key, None))), 0)


def use_grouped_products(model: PreTrainedModel) -> int:
    """Have experts computed by grouped matrix products: one call for all, over each one's own tokens.

    On the CPU in bf16 a mixture then costs little more than a dense model of the same active size (docs/log.md), while
    batched products copy the weights of every token's experts. torch's kernels want rows that begin at multiples of 16
    bytes; where the experts' sizes do not give that, they are computed one after the other.

    Returns:
        How many modules of experts are computed so now.
    """
    modules = [module for module in model.modules() if has_experts(module)]
    if not modules:
        return 0
    sizes = [size for module in modules for part in module.parameters(recurse=False) for size in part.shape[1:]]
    aligned = all(size % ALIGNMENT == 0 for size in sizes)
    expert_groups.register()
    model.set_experts_implementation(expert_groups.NAME if aligned else "eager")
    return len(modules) if aligned else 0


def has_experts(module: Any) -> bool:
    """Whether a module holds the weights of experts, in the form that transformers gives them."""
    return hasattr(module, "_is_expert_parallel") and hasattr(module, "num_experts")


def _fan_in(module: Any, parameter: nn.Parameter) -> int | None:
    if parameter.ndim != 3:
        return None
    return int(parameter.shape[1] if module.is_transposed else parameter.shape[2])


def _is_router(name: str, module: nn.Module, count: int) -> bool:
    weight = getattr(module, "weight", None)
    named = not ROUTER_NAMES.isdisjoint(name.split(".")[-2:])
    return named and isinstance(weight, nn.Parameter) and weight.ndim == 2 and weight.shape[0] == count
