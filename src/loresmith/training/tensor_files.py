"""The tensors of a checkpoint as safetensors files, of one process or of several, which any number of them reads.

One process writes whole tensors. Of several, each writes the parts of the divided tensors that it holds, through
torch.distributed.checkpoint with its Hugging Face writer. Of torch's two writers that is the one whose files hold no
pickle: `FileSystemWriter` keeps its index as one. And since it keeps the place of a part in the header of the file,
plain safetensors are the same format with one part, so that there is one reader.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

SEPARATOR = "//"
"""Between a parameter's name and what of the optimiser's state a tensor is."""

MASTERS, OPTIMISER = "masters.safetensors", "optimiser.safetensors"


def write_tensors(directory: Path, masters: Mapping[str, Tensor], optimiser: Mapping[str, Tensor], group: Any) -> None:
    """Write tensors on the CPU; their names tell masters and state of the optimiser apart.

    Args:
        group: the processes that write together, which all call this; None: this one writes alone.

    Raises:
        OSError, SafetensorError: they cannot be written.
        CheckpointException: they cannot be written by one of several processes.
    """
    if group is None:
        save_file(dict(masters), directory / MASTERS)
        save_file(dict(optimiser), directory / OPTIMISER)
        return
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    writer = HuggingFaceStorageWriter(str(directory), save_distributed=True)
    save({**masters, **optimiser}, storage_writer=writer, process_group=group)


def read_tensors(directory: Path, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All tensors in the files of a directory, each put together from its parts.

    Args:
        like: tensors by name; one that is divided among processes is read as divided, and so is the state that the
            optimiser keeps for each of its elements. All of these processes then call this.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load
    from torch.distributed.tensor import DTensor

    reader = HuggingFaceStorageReader(str(directory))
    tensors: dict[str, Tensor] = {}
    for name, described in reader.read_metadata().state_dict_metadata.items():
        assert isinstance(described, TensorStorageMetadata)
        known = like.get(name.partition(SEPARATOR)[0])
        if isinstance(known, DTensor) and known.shape == described.size:
            tensors[name] = torch.empty_like(known)
        else:
            tensors[name] = torch.empty(described.size, dtype=described.properties.dtype)
    alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it reads alone, which is meant
        load(tensors, storage_reader=reader, no_dist=alone)
    return tensors
