"""Which parameters are trained alike."""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

Group = Literal["matrix", "embedding", "head", "adapter", "other"]

ADAPTER_PARTS = ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector")
"""Names that PEFT gives to what an adapter adds."""


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
    linear = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    groups: dict[Group, list[str]] = {group: [] for group in get_args(Group)}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if any(part in name for part in ADAPTER_PARTS):
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
