"""What each source has, what was wanted of it and what was drawn, for people who look at a mixture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from loresmith.data.engine.rows import Rows
from loresmith.data.mixture.settings import MixtureRules
from loresmith.data.shards import SPLITS


class Sums:
    """Sums over documents; legend: S sources, P splits, G stages.

    Attributes:
        available, available_bytes: (S, P) documents that there are, and their bytes.
        drawn, drawn_bytes: (S, G) of what was drawn, as often as it was.
        again, again_bytes: (S,) of what was drawn more than once, without the first time.
    """

    def __init__(self, sources: int, stages: int) -> None:
        self.available, self.available_bytes = np.zeros((2, sources, len(SPLITS)), dtype=np.int64)
        self.drawn, self.drawn_bytes = np.zeros((2, sources, stages), dtype=np.int64)
        self.again, self.again_bytes = np.zeros((2, sources), dtype=np.int64)

    def add_available(self, rows: Rows) -> None:
        """Add documents of all sources, and of none (`joining.JOINED`)."""
        rows = rows[rows["source"] >= 0]
        np.add.at(self.available, (rows["source"], rows["side"]), 1)
        np.add.at(self.available_bytes, (rows["source"], rows["side"]), rows["size"])

    def add_drawn(self, rows: Rows) -> None:
        """Add what was drawn (`drawing.DRAWN`)."""
        np.add.at(self.drawn, (rows["source"], rows["stage"]), 1)
        np.add.at(self.drawn_bytes, (rows["source"], rows["stage"]), rows["size"])
        rows = rows[rows["repeat"] > 0]
        np.add.at(self.again, rows["source"], 1)
        np.add.at(self.again_bytes, rows["source"], rows["size"])


def said_of_sources(sums: Sums, rules: MixtureRules) -> dict[str, dict[str, Any]]:
    """For each source: what there is after curation, what was wanted, what was drawn, what is held out."""
    names = [source.name for source in rules.sources]
    there = [_shares(dict(zip(names, sums.available_bytes[:, side].tolist(), strict=True))) for side in _SIDES]
    trained = dict(zip(names, sums.drawn_bytes.sum(axis=1).tolist(), strict=True))
    got = _shares(trained)
    said = {}
    for number, source in enumerate(rules.sources):
        name = source.name
        held = [
            {
                "documents": int(sums.available[number, side]),
                "bytes": int(sums.available_bytes[number, side]),
                "share": there[side][name],
            }
            for side in _SIDES
        ]
        said[name] = {
            "available": held[0],
            "wanted_share": round(rules.weights[name], 6),
            "train": {
                "documents": int(sums.drawn[number].sum()),
                "bytes": trained[name],
                "share": got[name],
                "epochs": round(trained[name] / held[0]["bytes"], 4) if held[0]["bytes"] else 0.0,
                "epochs_cap": source.epochs_cap,
                "repeated_documents": int(sums.again[number]),
                "repeated_bytes": int(sums.again_bytes[number]),
                "stages": sums.drawn_bytes[number].tolist(),
            },
            **{split: held[side] for side, split in enumerate(SPLITS) if side},
        }
    return said


Left = dict[str, dict[str, dict[str, int]]]
"""Of each source and each of its splits, how much there is: `documents`, `bytes`, and of these `repeated_documents` and
`repeated_bytes`."""


def count_source(left: Left, row: Mapping[str, Any]) -> None:
    """Count a row of a mixture."""
    counts = left.setdefault(row["source"], {}).setdefault(row["split"], dict.fromkeys(_COUNTS, 0))
    again = row["repeat"] > 0
    for name, count in zip(_COUNTS, (1, row["bytes"], again, again * row["bytes"]), strict=True):
        counts[name] += count


def added_up_sources(some: Iterable[Left]) -> Left:
    """What several parts of a mixture have together."""
    total: Left = {}
    for left in some:
        for source, splits in left.items():
            for split, counts in splits.items():
                sums = total.setdefault(source, {}).setdefault(split, dict.fromkeys(_COUNTS, 0))
                for name in _COUNTS:
                    sums[name] += counts[name]
    return total


def said_of_what_is_left(said: Mapping[str, Mapping[str, Any]], left: Left) -> dict[str, dict[str, Any]]:
    """As `said_of_sources`, after something was taken out of a mixture: what there was, what was wanted and how often
    it was drawn is as it was said; documents, bytes and shares are of what is left. By stage they are not known any
    more.
    """
    counts = {
        source: {split: left.get(source, {}).get(split, dict.fromkeys(_COUNTS, 0)) for split in SPLITS}
        for source in said
    }
    shares = {split: _shares({source: counts[source][split]["bytes"] for source in said}) for split in SPLITS}
    told = {}
    for source, before in said.items():
        of = {split: {**counts[source][split], "share": shares[split][source]} for split in SPLITS}
        train = {name: value for name, value in before[SPLITS[0]].items() if name != "stages"}
        told[source] = {**before, SPLITS[0]: {**train, **of[SPLITS[0]]}}
        for split in SPLITS[1:]:
            told[source][split] = {name: of[split][name] for name in before[split]}
    return told


_COUNTS = ("documents", "bytes", "repeated_documents", "repeated_bytes")
_SIDES = range(len(SPLITS))


def _shares(sizes: Mapping[str, float]) -> dict[str, float]:
    """Each as a share of all, to six digits."""
    total = sum(sizes.values())
    return {name: round(size / total, 6) if total else 0.0 for name, size in sizes.items()}
