"""The part of a corpus that a vocabulary is learnt from, and the books over all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loresmith.data.corpus import read_documents
from loresmith.data.observer import Observer
from loresmith.data.sampling import in_sample
from loresmith.ledger.books import Account, Books, Entry

PART_BYTES = 1 << 20


class LearningSample:
    """A sample of the training split, read once.

    Args:
        corpus: an asset of this kind. What entered is counted now, and what is learnt from when it is read.
        training_bytes: about how much text is wanted, in bytes.
        observer: told how much was read, and asked whether to stop.
    """

    def __init__(self, corpus: Path, training_bytes: int, observer: Observer) -> None:
        self._corpus = corpus
        self._observer = observer
        self._sizes: dict[str, list[int]] = {}
        for batch in read_documents(corpus, ("split", "bytes")):
            for row in batch.to_pylist():
                self._sizes.setdefault(row["split"], []).append(row["bytes"])
        self._total = sum(self._sizes.get("train", ()))
        self._wanted = min(self._total, training_bytes)
        self.read = {"documents": 0, "bytes": 0}
        self._passed_over = {"documents": 0, "bytes": 0}

    def batches(self) -> Iterator[list[str]]:
        """The texts of the sample, in their order, a megabyte or a text at a time."""
        for batch in read_documents(self._corpus, ("id", "text", "bytes"), "train"):
            for rows in in_parts(batch.to_pylist()):
                if self._observer.stop_requested():
                    self._observer.stopped()
                texts = []
                for row in rows:
                    taken = in_sample(row["id"], self._wanted, self._total)
                    counts = self.read if taken else self._passed_over
                    counts["documents"] += 1
                    counts["bytes"] += row["bytes"]
                    if taken:
                        texts.append(row["text"])
                yield texts
                self._observer.progress(self.read["bytes"], self._wanted, "bytes")

    def books(self) -> Books:
        """What was learnt from, and what not, in documents and in bytes; once all batches are read."""
        return Books(
            accounts=tuple(
                _account(
                    unit,
                    {split: measure(sizes) for split, sizes in self._sizes.items()},
                    self.read[unit],
                    self._passed_over[unit],
                )
                for unit, measure in (("documents", len), ("bytes", sum))
            )
        )


def in_parts(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows with `bytes`, in runs of about a megabyte, so that one can stop between two of them."""
    part: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        part.append(row)
        size += row["bytes"]
        if size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _account(unit: str, by_split: Mapping[str, int], learnt: int, passed_over: int) -> Account:
    held_out = sum(count for split, count in by_split.items() if split != "train")
    left = (
        Entry(disposition="kept", reason="", count=learnt),
        Entry(disposition="dropped", reason="held out", count=held_out),
        Entry(disposition="dropped", reason="not in the sample", count=passed_over),
    )
    return Account(unit=unit, entered=sum(by_split.values()), left=tuple(entry for entry in left if entry.count))
