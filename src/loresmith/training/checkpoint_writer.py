"""Writing checkpoints while training goes on: it waits only until the state is copied to memory."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from loresmith.errors import Failure, os_failure
from loresmith.training.checkpoint import (
    DIGESTS,
    PREFIX,
    STATE,
    TEMPORARY,
    Checkpoint,
    CheckpointStore,
    file_digest,
)
from loresmith.training.tensor_files import write_tensors


@dataclass(frozen=True)
class Written:
    """A checkpoint that is whole and on the disk: its directory, and the tokens that were trained on."""

    directory: Path
    tokens: int


class CheckpointWriter:
    """Writes into a store, in a thread, one checkpoint at a time.

    The memory that a state is copied to is kept for the next: fresh pages would take ten times as long as the copy.

    Args:
        store: where they go. Of several processes all make a writer, at the same point.
    """

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store
        self._memory: dict[str, Tensor] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._pending: Future[Written] | None = None
        # What the writers of several processes say to one another must not get between what the trainings say.
        several = store.ranks.world > 1
        self._group = torch.distributed.new_group(backend="gloo") if several else None

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._pending is not None and not self._pending.done()

    def begin(self, checkpoint: Checkpoint) -> None:
        """Copy a state to memory and begin to write it; the one before must have been collected."""
        assert self._pending is None, "one checkpoint at a time"
        copied = replace(
            checkpoint,
            masters=self._copied(checkpoint.masters),
            optimiser=self._copied(checkpoint.optimiser),
            history=list(checkpoint.history),
            learnt=dict(checkpoint.learnt),
            skipped=tuple(checkpoint.skipped),
        )
        self._pending = self._thread.submit(self._write, copied)

    def collect(self, wait: bool = False) -> Written | None:
        """The checkpoint that was begun, once it is written; None where there is none, or it is not done.

        Args:
            wait: until it is done.

        Raises:
            Failure: it could not be written.
        """
        if self._pending is None or (self.busy and not wait):
            return None
        pending, self._pending = self._pending, None
        try:
            return pending.result()
        except OSError as error:
            raise os_failure(error, where="writing a checkpoint") from error
        except SafetensorError as error:
            raise _safetensors_failure(str(error)) from error

    def close(self) -> None:
        """Wait for the one under way and end the thread."""
        self._thread.shutdown(wait=True)

    def _copied(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        copies = {}
        for name, tensor in tensors.items():
            if tensor.device.type != "cpu":
                copies[name] = tensor.detach().to("cpu").contiguous()
                continue
            kept = self._memory.get(name)
            if kept is None or kept.shape != tensor.shape:
                kept = torch.empty_like(tensor.detach(), memory_format=torch.contiguous_format)
                self._memory[name] = kept
            copies[name] = kept.copy_(tensor.detach())
        return copies

    def _write(self, checkpoint: Checkpoint) -> Written:
        store, name = self._store, f"{PREFIX}{checkpoint.step:08d}"
        temporary, final = store.directory / f"{TEMPORARY}{name}", store.directory / name
        if store.ranks.first:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
        if self._group is None:
            write_tensors(temporary, checkpoint.masters, checkpoint.optimiser, None)
            digests = _flushed(temporary)
        else:
            digests = self._write_together(temporary, checkpoint)
        if store.ranks.first:
            _finish(temporary, checkpoint, digests)
            if final.exists():
                shutil.rmtree(final)
            temporary.rename(final)
            _flush(store.directory)
            store.remove_old(final)
        return Written(final, checkpoint.tokens)

    def _write_together(self, temporary: Path, checkpoint: Checkpoint) -> dict[str, str]:
        """Each process writes and flushes its part; returns the digests of all files.

        What fails in one of them fails in all, so that none waits for ever.
        """
        from torch import distributed
        from torch.distributed.checkpoint.api import CheckpointException

        ranks = self._store.ranks
        distributed.barrier(self._group)  # the folder is there
        found: dict[str, str] | str
        try:
            write_tensors(temporary, checkpoint.masters, checkpoint.optimiser, self._group)
            found = _flushed(temporary, f"shard-{ranks.rank + 1:05d}-*")
        except (OSError, SafetensorError) as error:
            found = str(error)
        except CheckpointException as error:
            # raised in all of them alike, whoever failed
            raise OSError("; ".join(str(cause[0]) for cause in error.failures.values())) from error
        parts: list[dict[str, str] | str] = [""] * ranks.world
        distributed.all_gather_object(parts, found, group=self._group)
        digests: dict[str, str] = {}
        for part in parts:
            if isinstance(part, str):
                raise OSError(part)
            digests |= part
        return digests


def _finish(directory: Path, checkpoint: Checkpoint, digests: dict[str, str]) -> None:
    """Add what is not tensors, and the digests of all."""
    (directory / STATE).write_text(json.dumps(checkpoint.state()), encoding="utf-8")
    digests |= _flushed(directory, STATE)
    (directory / DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
    _flush(directory / DIGESTS)
    _flush(directory)


def _flushed(directory: Path, pattern: str = "*") -> dict[str, str]:
    """Flush files to the disk; returns their digests by name."""
    digests = {}
    for file in sorted(directory.glob(pattern)):
        digests[file.name] = file_digest(file)
        _flush(file)
    return digests


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _safetensors_failure(message: str) -> Failure:
    """safetensors wraps what the operating system says; the number in it is looked up as any other."""
    number = re.search(r"os error (\d+)", message)
    if number is None:
        return Failure(message, where="writing a checkpoint")
    code = int(number[1])
    return os_failure(OSError(code, os.strerror(code)), where="writing a checkpoint")
