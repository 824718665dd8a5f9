"""What each source has, what was wanted of it and what was drawn, for people who look at a mixture."""

from __future__ import annotations

from collections.abc import Mapping
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


_SIDES = range(len(SPLITS))


def _shares(sizes: Mapping[str, float]) -> dict[str, float]:
    """Each as a share of all, to six digits."""
    total = sum(sizes.values())
    return {name: round(size / total, 6) if total else 0.0 for name, size in sizes.items()}
