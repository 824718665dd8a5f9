"""Checkpoints: all that the next step depends on, written so that a kill at any moment leaves a whole one.

```
step-00000123/
  masters.safetensors      fp32 weights
  optimiser.safetensors    momenta and step counts
  state.json               step, tokens, history of metrics
  digests.json             sha256 of the three, written last
```

A checkpoint is written under a temporary name, flushed to the disk and renamed, and only then is an older one removed.
There is no state of a random number generator in it: whatever is random in training is derived from the seed, what it
is for, and the step.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

FORMAT = 1
MASTERS, OPTIMISER, STATE, DIGESTS = "masters.safetensors", "optimiser.safetensors", "state.json", "digests.json"
_PREFIX, _TEMPORARY = "step-", ".writing-"


@dataclass(frozen=True)
class Checkpoint:
    """A state from which training goes on.

    Attributes:
        step, tokens: done so far.
        masters: parameter name -> fp32 weights.
        optimiser: see `Optimiser.state`.
        history: the metrics so far, as (name, value, position in tokens).
    """

    step: int
    tokens: int
    masters: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    history: list[tuple[str, float, int]] = field(default_factory=list)


class CheckpointStore:
    """The checkpoints of one training.

    Args:
        directory: made if it does not exist; what a killed writer left is removed.
        keep: how many of the newest stay.
    """

    def __init__(self, directory: Path, keep: int = 2) -> None:
        self.directory = directory
        self.keep = keep
        directory.mkdir(parents=True, exist_ok=True)
        for unfinished in directory.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(unfinished)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and remove those that are too old; returns its directory."""
        name = f"{_PREFIX}{checkpoint.step:08d}"
        temporary, final = self.directory / f"{_TEMPORARY}{name}", self.directory / name
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        save_file(_contiguous(checkpoint.masters), temporary / MASTERS)
        save_file(_contiguous(checkpoint.optimiser), temporary / OPTIMISER)
        state = {
            "format": FORMAT,
            "step": checkpoint.step,
            "tokens": checkpoint.tokens,
            "history": checkpoint.history,
        }
        (temporary / STATE).write_text(json.dumps(state), encoding="utf-8")
        digests = {file: _digest(temporary / file) for file in (MASTERS, OPTIMISER, STATE)}
        (temporary / DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
        for file in temporary.iterdir():
            _flush(file)
        _flush(temporary)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        _flush(self.directory)
        for old in self.list()[self.keep :]:
            shutil.rmtree(old)
        return final

    def list(self) -> list[Path]:
        """The checkpoints' directories, newest first."""
        return sorted(self.directory.glob(f"{_PREFIX}*"), reverse=True)

    def load_newest(self, say: Callable[[str], None]) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None.

        Args:
            say: told of every damaged one that is passed over, and why.
        """
        for directory in self.list():
            problem = find_damage(directory)
            if problem is None:
                return _read(directory)
            say(f"checkpoint {directory.name} is damaged ({problem}); going on from the one before it, if there is one")
        return None


def find_damage(directory: Path) -> str | None:
    """What is wrong with a checkpoint, by its digests; None when it is whole."""
    try:
        digests: dict[str, Any] = json.loads((directory / DIGESTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{DIGESTS}: {error}"
    for file in (MASTERS, OPTIMISER, STATE):
        try:
            found = _digest(directory / file)
        except OSError as error:
            return f"{file}: {error}"
        if found != digests.get(file):
            return f"{file} is not what was written"
    return None


def _read(directory: Path) -> Checkpoint:
    state = json.loads((directory / STATE).read_text(encoding="utf-8"))
    return Checkpoint(
        step=state["step"],
        tokens=state["tokens"],
        masters=load_file(directory / MASTERS),
        optimiser=load_file(directory / OPTIMISER),
        history=[(name, value, position) for name, value, position in state["history"]],
    )


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
