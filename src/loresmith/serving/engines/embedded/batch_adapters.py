"""Adapters that are applied row by row, so that requests for several of them share a step.

An adapter is a PEFT directory of LoRA or rsLoRA matrices. DoRA rescales the whole of each weight, and adapters of
experts or of the head see other rows than those of the step: those are merged into a model of their own instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from loresmith.errors import UserError
from loresmith.models.adapter_storage import CONFIG, PREFIX, WEIGHTS, require_same_base
from loresmith.models.base_weights import require_finite
from loresmith.serving.engines.embedded.network import Network
from loresmith.serving.engines.embedded.served_linear import LowRank, ServedLinear

_MERGE = "merge it into its base with the step `merge`, and serve the merged model"


def add_adapters(network: Network, adapters: Mapping[str, Path], base: str, dtype: torch.dtype) -> dict[str, int]:
    """Make adapters known to a network's linear maps.

    Args:
        adapters: directories by name.
        base: the digest of the model's asset.
        dtype: that they are computed in.

    Returns:
        The number of each, for `Segment.adapter`.

    Raises:
        UserError: an adapter is of another base, or cannot be applied row by row.
    """
    numbers = {name: number for number, name in enumerate(sorted(adapters), 1)}
    for name, number in numbers.items():
        linears: dict[str, tuple[ServedLinear, int]] | None = getattr(network, "linears", None)
        if linears is None:
            raise UserError(f"a model that is computed {network.path} takes no adapters", where=name, hint=_MERGE)
        _add(adapters[name], number, linears, base, dtype)
    return numbers


def _add(
    directory: Path, number: int, linears: dict[str, tuple[ServedLinear, int]], base: str, dtype: torch.dtype
) -> None:
    require_same_base(directory, base)
    config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    if config.get("use_dora") or config.get("target_parameters"):
        what = "DoRA" if config.get("use_dora") else "adapters of experts"
        raise UserError(f"{what} cannot be applied row by row", where=str(directory), hint=_MERGE)
    require_finite([directory / WEIGHTS])
    weights = load_file(directory / WEIGHTS)
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config.get("use_rslora") else config["r"])
    for name in sorted({name.rpartition(".lora_")[0] for name in weights}):
        module = name.removeprefix(PREFIX)
        if module not in linears:
            raise UserError(f"there is no map {module} that takes an adapter", where=str(directory), hint=_MERGE)
        linear, part = linears[module]
        linear.updates[number, part] = LowRank(
            a_AI=_matrix(weights, f"{name}.lora_A.weight", directory).to(dtype),
            b_OA=_matrix(weights, f"{name}.lora_B.weight", directory).to(dtype),
            scale=scale,
        )


def _matrix(weights: Mapping[str, Any], name: str, directory: Path) -> torch.Tensor:
    found = weights.get(name)
    if found is None:
        raise UserError(f"the adapter lacks {name}", where=str(directory / WEIGHTS))
    matrix: torch.Tensor = found
    return matrix
