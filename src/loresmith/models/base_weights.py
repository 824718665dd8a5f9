"""The weight files of a model's folder: which they are, whether they are whole, and whether they are numbers.

transformers finds most of this out too, but late, without a file's name, or not at all (NaN).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from loresmith.errors import UserError
from loresmith.models.base_settings import model_config, read_json

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5")
"""Endings of files that hold weights in other forms; most of them are unpickled, which runs whatever they contain."""


def weight_files(directory: Path) -> tuple[Path, ...]:
    """The safetensors files that a model's weights are in, as transformers chooses them.

    Raises:
        UserError: there are none, only pickled ones, or one is missing that the index names.
    """
    if (directory / WEIGHTS).is_file():
        return (directory / WEIGHTS,)
    index = directory / INDEX
    if index.is_file():
        return tuple(directory / name for name in sorted(set(_weight_map(index).values())))
    pickled = next((file.name for file in sorted(directory.iterdir()) if file.suffix in PICKLED), None)
    raise UserError(
        f"this model has no safetensors weights{f', only {pickled}' if pickled else ''}",
        where=str(directory),
        hint="pickled weights are never loaded, since that runs what is in them; convert them where you trust them",
    )


def _weight_map(index: Path) -> dict[str, str]:
    """Which file each tensor is in, every file there and none outside the folder."""
    named = read_json(index).get("weight_map")
    if not isinstance(named, dict) or not named or not all(isinstance(name, str) for name in named.values()):
        raise UserError("the index has no weight_map", where=str(index))
    for name in sorted(set(named.values())):
        if Path(name).name != name:
            raise UserError(f"the index names a file outside the folder: {name}", where=str(index))
        if not (index.parent / name).is_file():
            raise UserError(f"the shard {name} is missing, which the index names", where=str(index))
    return named


def require_whole(directory: Path) -> tuple[Path, ...]:
    """The weight files, once each could be opened and holds what the index says.

    Only headers are read.

    Raises:
        UserError: as `model_config` and `weight_files`; a file is cut short, or lacks a tensor.
    """
    model_config(directory)
    files = weight_files(directory)
    held = {file.name: tensor_sizes(file) for file in files}
    index = directory / INDEX
    if files[0].name != WEIGHTS:
        for tensor, name in _weight_map(index).items():
            if tensor not in held[name]:
                raise UserError(f"the shard lacks {tensor}, which {INDEX} says it has", where=str(directory / name))
    return files


def tensor_sizes(file: Path) -> dict[str, int]:
    """How many numbers each tensor of a safetensors file has. Raises UserError if the file is damaged or cut short."""
    try:
        with safe_open(file, framework="numpy") as tensors:  # so that a plan need not import torch
            return {name: math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"the weights are damaged or cut short: {error}", where=str(file)) from error


def require_finite(files: Iterable[Path]) -> None:
    """Raise UserError, naming file and tensor, where weights are NaN or infinite. Reads every byte, once.

    The least and the largest number of a tensor are asked for, which are NaN where any is: one pass without a copy. An
    engine waits for this whenever it starts.
    """
    import torch

    for file in files:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                tensor = tensors.get_tensor(name)
                if not tensor.is_floating_point() or not tensor.numel():
                    continue
                wide = tensor if tensor.element_size() > 1 else tensor.float()
                if not all(math.isfinite(float(end)) for end in torch.aminmax(wide)):
                    raise UserError(f"the weights hold NaN or infinity, in {name}", where=str(file))
