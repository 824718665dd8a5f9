"""What each source has, what was wanted of it and what was drawn, for people who look at a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loresmith.data.mixture.drawing import Draws
from loresmith.data.mixture.joining import Joined
from loresmith.data.mixture.settings import MixtureRules
from loresmith.data.mixture.survey import Survey
from loresmith.data.shards import SPLITS


def said_of_sources(
    found: Survey, joined: Joined, draws: Draws, wanted: Sequence[Mapping[str, float]], rules: MixtureRules
) -> dict[str, dict[str, Any]]:
    """For each source: what there is after curation, what was wanted, what was drawn, what is held out."""
    names = [source.name for source in rules.sources]
    drawn_of = found.sources[draws.documents]
    sizes = found.sizes[draws.documents]
    is_there = {
        name: [(found.sources == number) & (joined.sides == side) for side in range(len(SPLITS))]
        for number, name in enumerate(names)
    }
    available = {name: int(found.sizes[is_there[name][0]].sum()) for name in names}
    trained = {name: int(sizes[drawn_of == number].sum()) for number, name in enumerate(names)}
    there, got = _shares(available), _shares(trained)
    held_out = {
        split: _shares({name: int(found.sizes[is_there[name][side]].sum()) for name in names})
        for side, split in enumerate(SPLITS)
        if side
    }
    said = {}
    for number, source in enumerate(rules.sources):
        name = source.name
        mine = drawn_of == number
        again = mine & (draws.repeats > 0)
        said[name] = {
            "available": {"documents": int(is_there[name][0].sum()), "bytes": available[name], "share": there[name]},
            "wanted_share": round(rules.weights[name], 6),
            "train": {
                "documents": int(mine.sum()),
                "bytes": trained[name],
                "share": got[name],
                "epochs": round(trained[name] / available[name], 4) if available[name] else 0.0,
                "epochs_cap": source.epochs_cap,
                "repeated_documents": int(again.sum()),
                "repeated_bytes": int(sizes[again].sum()),
                "stages": [int(sizes[mine & (draws.stages == stage)].sum()) for stage in range(len(wanted))],
            },
            **{
                split: {
                    "documents": int(is_there[name][side].sum()),
                    "bytes": int(found.sizes[is_there[name][side]].sum()),
                    "share": held_out[split][name],
                }
                for side, split in enumerate(SPLITS)
                if side
            },
        }
    return said


def _shares(sizes: Mapping[str, float]) -> dict[str, float]:
    """Each as a share of all, to six digits."""
    total = sum(sizes.values())
    return {name: round(size / total, 6) if total else 0.0 for name, size in sizes.items()}
