"""QLoRA's base: linear maps in 4 bits, frozen, under an adapter in full precision.

Dettmers et al., QLoRA: Efficient Finetuning of Quantized LLMs (2023), https://arxiv.org/abs/2305.14314, sections 3 and
4: the data type NF4, whose block constants are quantised too, computing in bfloat16. The kernels are those of
bitsandbytes, an extra. None of this has been run on a GPU so far: it was tried with bitsandbytes' slow kernels for the
CPU alone, past the check that refuses them (docs/adapters.md says what was run). There, a processor with AVX-512 BF16
must be kept from packing weights for inference in eval mode: bitsandbytes gives that form no gradient.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from loresmith.errors import UserError
from loresmith.models.adapter_targets import linear_maps

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def require_quantisable(device: torch.device) -> None:
    """Raise UserError if a base cannot be trained on in 4 bits here; worth asking before weights are read."""
    if device.type != "cuda":
        raise UserError(
            f"QLoRA's 4-bit kernels need an NVIDIA GPU, and this run computes on the {device.type.upper()}",
            where="adapter.quantise_base",
            hint="leave it out: LoRA over the base in bfloat16 trains the same adapter in four times the memory",
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError(
            "quantise_base needs the package bitsandbytes, which is not installed",
            where="adapter.quantise_base",
            hint="install the extra: pip install 'loresmith[qlora]'",
        )


def quantise(model: PreTrainedModel, device: torch.device) -> None:
    """Replace every linear map but the head by its 4-bit form on the device, one at a time.

    The embedding, the head, the norms and all else keep their type and stay where they are; whoever trains moves them.

    Args:
        model: the base, on the CPU or on the device.
        device: an NVIDIA GPU.

    Raises:
        UserError: this is not possible here, or not with this model.
    """
    require_quantisable(device)
    bitsandbytes: Any = importlib.import_module("bitsandbytes")
    for name, linear in quantised_maps(model).items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, _four_bit(bitsandbytes, linear).to(device))
    # peft chooses its layers for 4-bit maps by this attribute, as transformers sets it.
    model.is_loaded_in_4bit = True  # type: ignore[assignment]


def quantised_maps(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The linear maps that `quantise` replaces, by name; of a model on any device.

    Raises:
        UserError: one of them cannot be.
    """
    modules = dict(model.named_modules())
    maps: dict[str, nn.Linear] = {}
    for name in linear_maps(model):
        linear = modules[name]
        if not isinstance(linear, nn.Linear):
            raise UserError(
                f"{name} stores its matrix transposed, which bitsandbytes cannot quantise",
                where="adapter.quantise_base",
            )
        maps[name] = linear
    return maps


def parameter_count(model: nn.Module) -> int:
    """The numbers of a model; those of a matrix in 4 bits too, which lie two in a byte."""
    quantised = (getattr(parameter, "quant_state", None) for parameter in model.parameters())
    return sum(
        parameter.numel() if state is None else math.prod(state.shape)
        for parameter, state in zip(model.parameters(), quantised, strict=True)
    )


def _four_bit(bitsandbytes: Any, linear: nn.Linear) -> nn.Module:
    """The 4-bit form of a linear map; bitsandbytes quantises when it is moved to the device."""
    quantised: nn.Module = bitsandbytes.nn.Linear4bit(
        linear.in_features,
        linear.out_features,
        bias=linear.bias is not None,
        compute_dtype=torch.bfloat16,
        compress_statistics=True,
        quant_type="nf4",
        device="meta",
    )
    quantised.weight = bitsandbytes.nn.Params4bit(
        linear.weight.detach().to(torch.bfloat16), requires_grad=False, compress_statistics=True, quant_type="nf4"
    )
    if linear.bias is not None:
        quantised.bias = nn.Parameter(linear.bias.detach().to(torch.bfloat16), requires_grad=False)
    return quantised
