"""What the pilot learns from: nested random parts of the text, by group, and documents held out from all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loresmith.advice.survey import may_train
from loresmith.advice.tokens import usable
from loresmith.data.corpus import read_documents
from loresmith.data.documents import CORPUS_COLUMNS, DocumentWriter

LONGEST = 8192
"""Characters of a held-out document that are scored: many documents say more than one long one."""

HELD_OUT_DOCUMENTS = 200
FEWEST_HELD_OUT = 20
"""Documents of the validation split below which a tenth of the groups to learn from is held out as well."""


@dataclass(frozen=True)
class HeldOutText:
    """A document that no model of the pilot learns from."""

    id: str
    text: str


@dataclass(frozen=True)
class PilotText:
    """Which documents the pilot has.

    Attributes:
        held_out: to score.
        groups: of each subset, the groups to learn from with their bytes, in a random order; a smaller share takes
            fewer of them from the front, so that it is part of every larger one.
        bytes: to learn from, in all groups.
    """

    held_out: Sequence[HeldOutText]
    groups: Sequence[Sequence[tuple[str, int]]]
    bytes: int

    def chosen(self, subset: int, share: float) -> frozenset[str]:
        """The groups of a share of the text, from 0 to 1; one at least."""
        chosen: list[str] = []
        size = 0
        for name, bytes_ in self.groups[subset]:
            if chosen and size + bytes_ / 2 > share * self.bytes:
                break
            chosen.append(name)
            size += bytes_
        return frozenset(chosen)


def choose_text(corpus: Path, wanted_bytes: float, held_out_bytes: int, subsets: int, seed: int) -> PilotText:
    """Choose what the pilot learns from and what is held out.

    Args:
        wanted_bytes: to learn from, at most.
        held_out_bytes: to score, at most, in characters.
        subsets: how many orders of the groups there are.
    """
    sizes: dict[str, int] = {}
    for batch in usable(corpus, ("group", "bytes")):
        for row in batch.to_pylist():
            sizes[row["group"]] = sizes.get(row["group"], 0) + row["bytes"]
    ordered = sorted(sizes, key=lambda name: _place(name, f"pilot/{seed}"))
    held_out = _held_out(corpus, "validation", None, held_out_bytes)
    if len(held_out) < FEWEST_HELD_OUT and len(ordered) >= 2 * FEWEST_HELD_OUT:
        apart = frozenset(ordered[: len(ordered) // 10])
        ordered = ordered[len(ordered) // 10 :]
        held_out += _held_out(corpus, "train", apart, held_out_bytes - sum(len(each.text) for each in held_out))
    chosen: dict[str, int] = {}
    for name in ordered:
        if chosen and sum(chosen.values()) + sizes[name] > wanted_bytes:
            continue
        chosen[name] = sizes[name]
    groups = [
        [(name, chosen[name]) for name in sorted(chosen, key=lambda name: _place(name, f"pilot/{seed}/{subset}"))]
        for subset in range(subsets)
    ]
    return PilotText(held_out, groups, sum(chosen.values()))


def write_part(corpus: Path, groups: frozenset[str], target: Path, look: Callable[[], None]) -> None:
    """Write a corpus of its own of the documents of some groups that may be learnt from."""
    target.mkdir(parents=True)
    with DocumentWriter(target, CORPUS_COLUMNS) as writer:
        for batch in usable(corpus, CORPUS_COLUMNS.names):
            for row in batch.to_pylist():
                if row["group"] in groups:
                    writer.add(row)
            look()


def _held_out(corpus: Path, split: str, groups: frozenset[str] | None, budget: int) -> list[HeldOutText]:
    """Documents of a split (and of some groups) in the order of the sha256 of their ids, cut to `LONGEST`."""
    found: list[tuple[str, str]] = []
    for batch in read_documents(corpus, ("id", "text", "split", "uses", "group"), split):
        for row in batch.to_pylist():
            allowed = may_train({**row, "split": "train"})
            if allowed and row["text"].strip() and (groups is None or row["group"] in groups):
                found.append((row["id"], row["text"][:LONGEST]))
        found.sort(key=lambda each: _place(each[0], "held out"))
        del found[HELD_OUT_DOCUMENTS:]
    chosen: list[HeldOutText] = []
    for name, text in found:
        if chosen and sum(len(each.text) for each in chosen) + len(text) > budget:
            break
        chosen.append(HeldOutText(name, text))
    return chosen


def _place(name: str, purpose: str) -> bytes:
    return hashlib.sha256(f"{purpose}/{name}".encode()).digest()
