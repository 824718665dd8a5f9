"""Low-rank adapters: added to a model in place, trained alone, and merged back into its matrices.

With x the input of a linear map W0 (O x I), A (R x I), B (O x R) and the scale s = alpha / R:

| variant | what the map computes                          | source                                                |
|---------|------------------------------------------------|-------------------------------------------------------|
| lora    | W0 x + s B A x                                 | Hu et al. 2021, https://arxiv.org/abs/2106.09685, (3) |
| rslora  | the same with s = alpha / sqrt(R)              | Kalajdzievski 2023, https://arxiv.org/abs/2312.03732  |
| dora    | m (W0 + s B A) x / ||W0 + s B A||, row by row  | Liu et al. 2024, https://arxiv.org/abs/2402.09353, (5)|

At the start B is zero and m = ||W0||, so that the model computes what the base does; A is drawn uniformly from
+-1 / sqrt(I), from a seed keyed by its name. peft does the arithmetic.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from loresmith.errors import Failure, UserError
from loresmith.models.adapter_settings import AdapterSettings
from loresmith.models.adapter_targets import Targets, choose_targets, shortened
from loresmith.models.linear_maps import Conv1D

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER = "default"
"""peft's name for a model's only adapter; a part of its parameters' names in memory, not on disk."""


@dataclass(frozen=True)
class Added:
    """What an adapter changes in a model.

    Attributes:
        targets: the matrices that it adapts.
        trained: how many numbers it has, all of them trained.
        frozen: how many the base has.
    """

    targets: Targets
    trained: int
    frozen: int


def add_adapter(
    model: PreTrainedModel, settings: AdapterSettings, seed: int, device: torch.device | None = None
) -> Added:
    """Add an adapter to a model in place and freeze all else; the model's class and its backbone stay what they are.

    The same model, settings and seed give the same adapter, whatever else has drawn random numbers; none are drawn
    from torch's global generator. Dropout, while training, draws from that one alone. The adapter is in fp32, whatever
    the base is in.

    Args:
        model: the base. `use_fast_parts` comes first, since it knows linear maps by their class.
        settings: what to add, and where.
        seed: of the A matrices.
        device: where the model will compute, for `quantise_base`; where it is by default. On the meta device there are
            no numbers to quantise.

    Raises:
        UserError: a matrix that the model does not have, one that peft cannot adapt, or a base that cannot be
            quantised here.
    """
    targets = choose_targets(model, settings)
    frozen = sum(parameter.numel() for parameter in model.parameters())
    device = device or model.device
    if settings.quantise_base and device.type != "meta":
        from loresmith.models.adapter_quantisation import quantise

        quantise(model, device)
    with torch.random.fork_rng(devices=[]):
        inject(model, lora_config(model, targets, settings))
    _require_injected(model, targets)
    _initialise(model, seed)
    trained = sum(parameter.numel() for _, parameter in adapter_parameters(model))
    return Added(targets, trained, frozen)


def adapter_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The adapter's parameters with their names in the model. They are for AdamW: Muon is for full matrices."""
    return ((name, parameter) for name, parameter in model.named_parameters() if is_adapter_parameter(name))


def is_adapter_parameter(name: str) -> bool:
    """Whether a parameter of this name belongs to an adapter and not to its base."""
    return any(part in ("lora_A", "lora_B", "lora_magnitude_vector") for part in name.split("."))


@torch.no_grad()
def merge_adapter(model: PreTrainedModel) -> PreTrainedModel:
    """Add the adapter's update to the base's matrices, in place; what is left is a plain transformers model.

    Args:
        model: a base with an adapter, in fp32 if the sum is to be as exact as it can be.

    Raises:
        Failure: a merged matrix is not finite.
    """
    from loresmith.models.adapter_peft import lora_layer

    for name, layer in _adapted_layers(model):
        parent, _, child = name.rpartition(".")
        try:
            if isinstance(layer, lora_layer.ParamWrapper):
                plain = layer.unload_and_optionally_merge_module(merge=True, safe_merge=True, adapter_names=None)
            else:
                layer.merge(safe_merge=True)
                plain = layer.get_base_layer()
        except ValueError as error:
            raise Failure(f"the adapter cannot be merged into {name}: {error}") from error
        setattr(model.get_submodule(parent), child, plain)
    del model.peft_config
    return model.requires_grad_(True)


def inject(model: PreTrainedModel, config: object) -> None:
    """Put peft's layers in the place of the linear maps that a `LoraConfig` names."""
    from loresmith.models.adapter_peft import peft

    if getattr(model, "peft_config", None):
        raise UserError("this model has an adapter already", hint="merge it first (step `merge`)")
    try:
        peft.inject_adapter_in_model(config, model, adapter_name=ADAPTER)
    except (ValueError, TypeError) as error:
        raise UserError(f"peft cannot add this adapter: {error}", where="adapter.target_modules") from error
    model.train(model.training)  # new layers would drop out in a model that does not train


def lora_config(model: PreTrainedModel, targets: Targets, settings: AdapterSettings) -> object:
    """peft's config of an adapter, its targets named as shortly as they can be."""
    from loresmith.models.adapter_peft import peft

    modules = dict(model.named_modules())
    return peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=shortened(targets.modules, modules),
        target_parameters=shortened(targets.parameters, (name for name, _ in model.named_parameters())) or None,
        use_dora=settings.variant == "dora",
        use_rslora=settings.variant == "rslora",
        fan_in_fan_out=any(isinstance(modules[name], Conv1D) for name in targets.modules),
        bias="none",
        task_type="CAUSAL_LM",
    )


def _adapted_layers(model: nn.Module) -> list[tuple[str, Any]]:
    """peft's layers with their names; of those that wrap one another, one for each matrix of an expert, the outer."""
    from loresmith.models.adapter_peft import lora_layer

    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, lora_layer.LoraLayer)]
    names = {name for name, _ in layers}
    return [(name, module) for name, module in layers if name.rpartition(".")[0] not in names]


def _require_injected(model: nn.Module, targets: Targets) -> None:
    """For mixtures peft takes names such as `gate_proj` for an expert's, and adapts something else without a word.

    The shared experts and dense layers of a mixture are out of its reach by that: huggingface/peft issue 3711.
    """
    from loresmith.models.adapter_peft import lora_layer

    found: set[str] = set()
    for name, module in model.named_modules():
        if isinstance(module, lora_layer.ParamWrapper):
            found.add(f"{name.replace('.base_layer', '')}.{module.parameter_name}")
        elif isinstance(module, lora_layer.LoraLayer):
            found.add(name)
    asked = {*targets.modules, *targets.parameters}
    if wrong := sorted(asked ^ found):
        raise UserError(
            f"peft cannot adapt this choice of matrices: it {'leaves out' if wrong[0] in asked else 'adds'} {wrong[0]}",
            where="adapter.target_modules",
            hint="it takes names such as gate_proj, up_proj and down_proj for an expert's in this architecture; "
            "name the matrices to adapt in `target_modules`, and leave those out",
        )


@torch.no_grad()
def _initialise(model: nn.Module, seed: int) -> None:
    for name, parameter in adapter_parameters(model):
        parameter.data = parameter.data.float()
        if ".lora_A." in name:
            generator = torch.Generator().manual_seed(_subseed(seed, name))
            bound = 1 / math.sqrt(parameter.shape[1])
            parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))


def _subseed(seed: int, name: str) -> int:
    """A seed for one parameter: 63 bits of sha256, since torch takes signed 64-bit seeds."""
    return int.from_bytes(hashlib.sha256(f"adapter/{seed}/{name}".encode()).digest()[:8], "little") >> 1
