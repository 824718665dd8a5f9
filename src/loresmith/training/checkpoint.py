"""Checkpoints: all that the next step depends on, kept so that a kill at any moment leaves a whole one.

```
step-00000123/
  masters.safetensors      fp32 weights
  optimiser.safetensors    momenta, averages and step counts
  state.json               step, tokens, what was learnt from and skipped, history of metrics
  digests.json             sha256 of the others, written last
```

Where several processes train together, each writes its part of both, `shard-0000R-*.safetensors`, and says in the
file's header where the part lies in the whole (the form of torch.distributed.checkpoint's Hugging Face writer). Any
number of processes reads either. Everything is safetensors and JSON: reading a checkpoint runs nobody's code.

A checkpoint is written under a temporary name, flushed to the disk and renamed, and only then is an older one removed:
see `loresmith.training.checkpoint_writer`. There is no state of a random number generator in it: whatever is random in
training is derived from the seed, what it is for, and the step.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from loresmith.training.ranks import Ranks
from loresmith.training.tensor_files import SEPARATOR, read_tensors

FORMAT = 3
STATE, DIGESTS = "state.json", "digests.json"
PREFIX, TEMPORARY = "step-", ".writing-"


@dataclass(frozen=True)
class Checkpoint:
    """A state from which training goes on.

    Attributes:
        step, tokens: done so far.
        masters: parameter name -> fp32 weights.
        optimiser: see `Optimiser.state`.
        history: the metrics so far, as (name, value, position in tokens).
        learnt, skipped: see `Trainer`.
    """

    step: int
    tokens: int
    masters: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    history: list[tuple[str, float, int]] = field(default_factory=list)
    learnt: Mapping[str, int] = field(default_factory=dict)
    skipped: Sequence[int] = ()

    def state(self) -> dict[str, Any]:
        """All but the tensors, as it is written."""
        return {
            "format": FORMAT,
            "step": self.step,
            "tokens": self.tokens,
            "history": self.history,
            "learnt": dict(self.learnt),
            "skipped": list(self.skipped),
        }


class CheckpointStore:
    """The checkpoints of one training.

    Args:
        directory: made if it does not exist; what a killed writer left is removed.
        keep: how many of the newest stay.
        keep_every: the checkpoints of every so many steps stay too; None: no others.
        ranks: the processes that train together; `directory` is the same folder for all of them.
    """

    def __init__(
        self,
        directory: Path,
        keep: int = 2,
        keep_every: int | None = None,
        ranks: Ranks = Ranks(),  # noqa: B008 - frozen
    ) -> None:
        self.directory = directory
        self.keep = keep
        self.keep_every = keep_every
        self.ranks = ranks
        if ranks.first:
            directory.mkdir(parents=True, exist_ok=True)
            for unfinished in directory.glob(f"{TEMPORARY}*"):
                shutil.rmtree(unfinished)

    def list(self) -> list[Path]:
        """The checkpoints' directories, newest first."""
        return sorted(self.directory.glob(f"{PREFIX}*"), reverse=True)

    def remove_old(self, newest: Path) -> None:
        """Remove those that are neither among the newest nor to be kept for good.

        Args:
            newest: the one just written. Those of later steps are none that training went on from: they were damaged.
        """
        passed_over = [found for found in self.list() if found.name > newest.name]
        for damaged in passed_over:
            shutil.rmtree(damaged)
        for old in self.list()[self.keep :]:
            if self.keep_every is None or int(old.name.removeprefix(PREFIX)) % self.keep_every:
                shutil.rmtree(old)

    def load_newest(self, say: Callable[[str], None], masters: Mapping[str, Tensor] | None = None) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None; of several processes all get the same one.

        Args:
            say: told of every damaged one that is passed over, and why.
            masters: tensors as those to be read; where they are divided among processes, each reads its part.
        """
        newest = self._newest_whole(say) if self.ranks.first else None
        (number,) = self.ranks.sum([1 + int(newest.name.removeprefix(PREFIX)) if newest is not None else 0])
        if not number:
            return None
        return _read(self.directory / f"{PREFIX}{round(number) - 1:08d}", masters or {})

    def _newest_whole(self, say: Callable[[str], None]) -> Path | None:
        for directory in self.list():
            problem = find_damage(directory)
            if problem is None:
                return directory
            say(f"checkpoint {directory.name} is damaged ({problem}); going on from the one before it, if there is one")
        return None


def find_damage(directory: Path) -> str | None:
    """What is wrong with a checkpoint, by its digests; None when it is whole."""
    try:
        digests: dict[str, str] = json.loads((directory / DIGESTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{DIGESTS}: {error}"
    for file in (STATE, *digests):
        try:
            found = file_digest(directory / file)
        except OSError as error:
            return f"{file}: {error}"
        if found != digests.get(file):
            return f"{file} is not what was written"
    written: int = json.loads((directory / STATE).read_text(encoding="utf-8"))["format"]
    return None if written == FORMAT else f"it has format {written}, and this is {FORMAT}"


def file_digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(directory: Path, masters: Mapping[str, Tensor]) -> Checkpoint:
    state = json.loads((directory / STATE).read_text(encoding="utf-8"))
    tensors = read_tensors(directory, masters)
    return Checkpoint(
        step=state["step"],
        tokens=state["tokens"],
        masters={name: tensor for name, tensor in tensors.items() if SEPARATOR not in name},
        optimiser={name: tensor for name, tensor in tensors.items() if SEPARATOR in name},
        history=[(name, value, position) for name, value, position in state["history"]],
        learnt=state["learnt"],
        skipped=tuple(state["skipped"]),
    )
