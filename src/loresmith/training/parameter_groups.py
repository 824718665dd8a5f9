"""Which parameters are trained alike."""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

from loresmith.models.adapters import is_adapter_parameter
from loresmith.models.linear_maps import LINEAR_MAPS, Conv1D

Group = Literal["matrix", "embedding", "head", "adapter", "other"]


def group_parameters(model: nn.Module) -> dict[Group, list[str]]:
    """Names of the parameters that require a gradient, by group.

    - `matrix`: the weight of a linear map that is not the output embedding, and experts that lie together in one tensor
      (E, rows, columns).
    - `embedding`: the input embedding, also where the output embedding is tied to it.
    - `head`: the output embedding.
    - `adapter`: what an adapter adds; its thin matrices have no use for Muon, whose update would make all of their few
      directions equally large.
    - `other`: norms, biases, convolutions, routers' offsets and all else.
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    output = getattr(model, "get_output_embeddings", lambda: None)()
    head = id(output.weight) if isinstance(output, nn.Linear) else None
    linear = {id(module.weight) for module in model.modules() if isinstance(module, LINEAR_MAPS)}
    groups: dict[Group, list[str]] = {group: [] for group in get_args(Group)}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if is_adapter_parameter(name):
            groups["adapter"].append(name)
        elif id(parameter) in embeddings:
            groups["embedding"].append(name)
        elif id(parameter) == head:
            groups["head"].append(name)
        elif id(parameter) in linear or (parameter.ndim == 3 and ".experts." in name):
            groups["matrix"].append(name)
        else:
            groups["other"].append(name)
    return groups


def transposed_matrices(model: nn.Module) -> frozenset[str]:
    """Names of the matrices that are stored as (inputs, outputs), and not as torch's linear maps (outputs, inputs)."""
    return frozenset(
        f"{owner}.{name}"
        for owner, module in model.named_modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim == (2 if isinstance(module, Conv1D) else 3)
        and (isinstance(module, Conv1D) or getattr(module, "is_transposed", False))
    )
