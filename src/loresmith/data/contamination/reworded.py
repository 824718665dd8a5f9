"""A case in other wording: where most of its runs of five words stand close together, though no long run does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loresmith.data.duplicates.shingles import SHINGLE_WORDS

if TYPE_CHECKING:
    from loresmith.data.contamination.case_index import CaseIndex
    from loresmith.data.duplicates.words import HashedWords


@dataclass(frozen=True)
class Reworded:
    """Where a case stands in other wording, in characters, and the share of its runs of five words that are there."""

    case: int
    start: int
    end: int
    similarity: float


def reworded(
    words: HashedWords,
    places: NDArray[np.intp],
    keys: NDArray[np.intp],
    border: int,
    case: int,
    index: CaseIndex,
) -> Iterator[Reworded]:
    """The windows of a text in which a case is, none of which overlap; a quarter longer than the case, at most.

    Args:
        places: the words at which runs of the case's sample begin, ascending.
        keys: which runs these are.
        border: the word before which the text ends.
    """
    window = index.sizes[case] + index.sizes[case] // 4
    fewest = int(index.fewest[case])
    wanted = _runs(index.texts[case].split(" "))
    starts = places.tolist()
    counts = _different_in_windows(starts, keys.tolist(), window)
    anchor = 0
    while anchor < len(starts):
        if counts[anchor] < fewest:
            anchor += 1
            continue
        after = int(np.searchsorted(places, starts[anchor] + window))
        best = max(range(anchor, after), key=lambda each: counts[each])
        found = _compared(words, starts[best], min(starts[best] + window, border), wanted, case)
        if found is None or found.similarity < (index.rule.similarity or 1.0):
            anchor = after  # the best of these windows is not the case, and the others have less of it
            continue
        yield found
        anchor = int(np.searchsorted(places, starts[best] + window))


def _different_in_windows(starts: list[int], keys: list[int], window: int) -> list[int]:
    """For each place how many different runs begin in the window that begins there."""
    inside: Counter[int] = Counter()
    counts = []
    after = 0
    for place, start in enumerate(starts):
        while after < len(starts) and starts[after] < start + window:
            inside[keys[after]] += 1
            after += 1
        counts.append(len(inside))
        inside[keys[place]] -= 1
        if not inside[keys[place]]:
            del inside[keys[place]]
    return counts


def _compared(words: HashedWords, first: int, after: int, wanted: set[tuple[str, ...]], case: int) -> Reworded | None:
    """How much of a case is in a window, by the words themselves, and from where to where."""
    starts, ends = words.starts[first:after].tolist(), words.ends[first:after].tolist()
    text = [words.text[start:end] for start, end in zip(starts, ends, strict=True)]
    runs = [tuple(text[place : place + SHINGLE_WORDS]) for place in range(len(text) - SHINGLE_WORDS + 1)]
    held = [place for place, run in enumerate(runs) if run in wanted]
    if not held:
        return None
    share = len({runs[place] for place in held}) / len(wanted)
    return Reworded(case, starts[held[0]], ends[held[-1] + SHINGLE_WORDS - 1], share)


def _runs(text: list[str]) -> set[tuple[str, ...]]:
    return {tuple(text[place : place + SHINGLE_WORDS]) for place in range(len(text) - SHINGLE_WORDS + 1)}
