"""Whether an answer says what stands in the passages that were retrieved for it.

A sentence is supported when most of its words that carry a meaning stand close together in one passage, in a window
of three times its length, and every number in it stands in that window; with an embedder also when a sentence of a
passage means nearly the same (cosine) and the numbers agree. Sentences of fewer than three such words are not judged.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from loresmith.serving.guards.folding import folded
from loresmith.serving.guards.guard import Hit, Reading
from loresmith.serving.guards.settings import GroundingGuard

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to (n, d) vectors of length 1."""

FEWEST_WORDS = 3
"""Words with a meaning that a sentence needs to be judged."""

_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+(?!\s|$)[^.!?\n]*)*[.!?]*")
_WORD = re.compile(r"[^\W_]+(?:[.,'’][^\W_]+)*")
_CITATION = re.compile(r"\[\d{1,3}(?:\s*[,;-]\s*\d{1,3})*\]")
_WINDOW = 3
_EMPTY_WORDS = """
    the a an of to in on at by for from with and or but not is are was were be been it its this that these those as
    if then than so do does did has have had can could will would shall should may might must there their they them
    he she his her you your we our i my me which who what when where how why also into out up about over only all
    any each per such no yes der die das den dem des ein eine einer eines einem einen und oder aber nicht ist sind
    war waren sein es sie er wir ihr von zu im am auf mit bei nach aus fur durch als wie wenn dass auch nur noch
    sich wird werden wurde hat haben le la les un une du de et ou mais ne pas est sont etait il elle ils elles en
    dans sur avec pour par que qui ce cette el los las y o pero son del al con por para se su una lo
"""
_EMPTY = frozenset(_EMPTY_WORDS.split())


class GroundingCheck:
    """Holds answers to passages.

    Args:
        settings: how much of an answer has to be supported, and when a sentence is.
        embed: an embedder, for sentences in other words; None: words alone count.
    """

    hold = 0
    left = 0
    whole = True

    def __init__(self, settings: GroundingGuard, embed: Embed | None = None) -> None:
        self._settings = settings
        self._embed = embed

    def look(self, reading: Reading) -> Iterator[Hit]:
        passages = reading.context.passages
        if not passages or not reading.whole or reading.tool:
            return
        share, unsupported = self.support(reading.views.given, passages)
        if share < self._settings.minimum_share:
            for start, end in unsupported:
                yield Hit(start, end, "not in the passages", "")

    def support(self, answer: str, passages: Sequence[str]) -> tuple[float, list[tuple[int, int]]]:
        """The share of an answer's sentences that are supported, and where the others stand.

        Args:
            answer: what the model wrote.
            passages: what it was shown.
        """
        sentences = [
            (found.span(), words)
            for found in _SENTENCE.finditer(answer)
            if len(words := _words(found[0])) >= FEWEST_WORDS
        ]
        if not sentences:
            return 1.0, []
        shown = [_words(passage) for passage in passages]
        supported = [any(self._stands_in(words, passage) for passage in shown) for _, words in sentences]
        if self._embed is not None and not all(supported):
            self._compare_meaning(answer, [span for span, _ in sentences], passages, supported)
        without = [span for (span, _), known in zip(sentences, supported, strict=True) if not known]
        return 1 - len(without) / len(sentences), without

    def _stands_in(self, words: list[str], passage: list[str]) -> bool:
        wanted = Counter(words)
        numbers = {word for word in wanted if word[0].isdigit()}
        window = max(_WINDOW * len(words), 12)
        if len(set(passage) & wanted.keys()) < self._settings.overlap * len(wanted):
            return False
        have: Counter[str] = Counter()
        common = 0
        for place, word in enumerate(passage):
            if word in wanted:
                have[word] += 1
                common += have[word] <= wanted[word]
            gone = passage[place - window] if place >= window else None
            if gone is not None and gone in wanted:
                common -= have[gone] <= wanted[gone]
                have[gone] -= 1
            if common >= self._settings.overlap * len(words) and all(have[number] for number in numbers):
                return True
        return False

    def _compare_meaning(
        self, answer: str, spans: list[tuple[int, int]], passages: Sequence[str], supported: list[bool]
    ) -> None:
        assert self._embed is not None
        known = [found[0] for passage in passages for found in _SENTENCE.finditer(passage) if _words(found[0])]
        asked = [number for number, found in enumerate(supported) if not found]
        if not known:
            return
        vectors = self._embed([*known, *(answer[slice(*spans[number])] for number in asked)])
        cosines = vectors[len(known) :] @ vectors[: len(known)].T
        for row, number in enumerate(asked):
            numbers = _numbers(answer[slice(*spans[number])])
            supported[number] = any(
                numbers <= _numbers(known[place])
                for place in np.flatnonzero(cosines[row] >= self._settings.similarity).tolist()
            )

    def open_from(self, reading: Reading) -> int:
        return len(reading.views.given)


def _numbers(text: str) -> set[str]:
    return {word for word in _words(text) if word[0].isdigit()}


def _words(text: str) -> list[str]:
    """The words that carry a meaning, as they look, in small letters; without the marks of citations."""
    bare = _CITATION.sub(" ", text)
    looks = folded(bare)
    found = _WORD.findall((bare if looks is None else looks.text).lower())
    return [word for word in found if word not in _EMPTY]
