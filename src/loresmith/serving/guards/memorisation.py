"""Finds long stretches of restricted training text in an answer, word for word.

While an answer is written, only its last words are held back, unless they are going to repeat something: then it is
held back from where that begins, until it is as long as a passage of the index, or goes on differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loresmith.serving.guards.guard import Hit, Reading
from loresmith.serving.guards.passage_hashes import SEED_WORDS, looking, word_runs
from loresmith.serving.guards.passage_index import PassageIndex
from loresmith.serving.guards.settings import MemorisationGuard
from loresmith.serving.guards.view import View

_CHARACTERS_OF_A_WORD = 16
_FEWEST_DIFFERENT = 8
"""Different words of a stretch that somebody could mind: rows of zeros are everybody's."""


class MemorisationCheck:
    """Holds texts against an index.

    Args:
        index: of passages.
        settings: whom it guards from what.
    """

    hold = 0
    whole = False
    mask = "[REMOVED]"

    def __init__(self, index: PassageIndex, settings: MemorisationGuard) -> None:
        self._index = index
        self._settings = settings
        self._labels = frozenset(index.facts.labels)
        self.left = index.facts.words * _CHARACTERS_OF_A_WORD
        word_runs("warm")  # its tables take a quarter of a second to fill

    @classmethod
    def of(cls, settings: MemorisationGuard, directory: Path) -> MemorisationCheck:
        """The guard of some settings.

        Raises:
            UserError: there is no index.
        """
        return cls(PassageIndex(directory), settings)

    def look(self, reading: Reading) -> Iterator[Hit]:
        if self._exempt(reading):
            return
        for view in reading.views.all:
            if view.form.endswith("spelled") or (view.form == "" and reading.views.look is not view):
                continue
            for start, end in self._stretches(view, reading):
                rule = f"verbatim ({view.form})" if view.form else "verbatim"
                yield Hit(*view.given(start, end), rule, self.mask)

    def _stretches(self, view: View, reading: Reading) -> Iterator[tuple[int, int]]:
        length = self._index.facts.words
        runs = word_runs(view.text)
        hashes = runs.of(length)
        known = self._index.has_passages(hashes) & ~np.isin(hashes, self._quotable(reading, length))
        places = np.flatnonzero(known)
        for stretch in np.split(places, np.flatnonzero(np.diff(places) > length) + 1):
            if len(stretch):
                first, last = int(stretch[0]), int(stretch[-1]) + length - 1
                if len(np.unique(runs.words[first : last + 1])) >= _FEWEST_DIFFERENT:
                    yield int(runs.starts[first]), int(runs.ends[last])

    def open_from(self, reading: Reading) -> int:
        given = reading.views.given
        if self._exempt(reading):
            return len(given)
        looks = reading.views.look
        runs = word_runs(looks.text)
        words = len(runs.words)
        if words and runs.ends[-1] == len(looks.text):
            words -= 1  # the last word may not be over
        if words < SEED_WORDS:
            return looks.given(int(runs.starts[0]), len(looks.text))[0] if len(runs.words) else len(given)
        seeds = runs.of(SEED_WORDS)[: words - SEED_WORDS + 1]
        known = self._index.has_seeds(seeds) & ~np.isin(seeds, self._quotable(reading, SEED_WORDS))
        others = np.flatnonzero(~known)
        first = int(others[-1]) + 1 if len(others) else 0  # a seed that begins here may be one when it is over
        return looks.given(int(runs.starts[first]), len(looks.text))[0]

    def _quotable(self, reading: Reading, length: int) -> NDArray[np.uint64]:
        """The runs of words that stand in what was retrieved for this caller."""
        if self._settings.retrieved == "guard" or not reading.context.passages:
            return np.empty(0, dtype=np.uint64)
        return np.concatenate([word_runs(looking(passage)).of(length) for passage in reading.context.passages])

    def _exempt(self, reading: Reading) -> bool:
        return self._settings.holders == "allow" and self._labels <= reading.context.labels
