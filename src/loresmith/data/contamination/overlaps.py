"""Where the cases of an index stand in texts, over whole batches of text at once.

A run of words that has the hash of a case's run is compared with it word by word, so that two different texts are never
taken for the same. What is found in other wording is compared by the words of the runs, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from loresmith.data.contamination.case_index import CaseIndex, fold
from loresmith.data.contamination.reworded import Reworded, reworded
from loresmith.data.contamination.run_hashes import RunHashes
from loresmith.data.duplicates.shingles import SHINGLE_WORDS
from loresmith.data.duplicates.words import HashedWords, hashed_words

_PIECE = 1 << 20  # characters: a longer text is looked at in pieces
_COMMON = 1 << 16  # characters that a piece has in common with the one before, so that nothing is cut
_TOGETHER = 1 << 18  # characters looked at together; more of them do not stay in the processor's cache


@dataclass(frozen=True)
class Overlap:
    """A stretch of a text that a case is in.

    Attributes:
        text: which of the texts.
        case: its number in the index.
        kind: `exact`: the same words one after the other; `near`: most of its short runs of words close together.
        start, end: the first character of the stretch, and the one after its last.
        score: the share of the case that is there: of its words, or, of one that is near, of its short runs of words.
    """

    text: int
    case: int
    kind: Literal["exact", "near"]
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class _Piece:
    text: int
    start: int
    folded: str


@dataclass(frozen=True)
class _Match:
    """Words of a case, from the first to the one before `after`, at some characters of a text."""

    start: int
    end: int
    first: int
    after: int


def find_overlaps(texts: Sequence[str], index: CaseIndex) -> list[Overlap]:
    """All overlaps of some texts with the cases of an index, by text, then by where they begin.

    Stretches of one case that touch are one overlap; one that is near is left out where it is within one that is exact.
    """
    matches: dict[tuple[int, int], list[_Match]] = {}
    near: dict[tuple[int, int], list[Reworded]] = {}
    for pieces in _groups(texts):
        words = hashed_words([piece.folded for piece in pieces])
        if not len(words.hashes):
            continue
        borders = np.cumsum(words.counts)
        begins = np.cumsum([1, *(len(piece.folded) + 1 for piece in pieces)])  # of each piece in the joined text
        shifts = [piece.start - int(begin) for piece, begin in zip(pieces, begins, strict=False)]
        hashes = RunHashes(words.hashes)
        for number, case, match in _exact(words, hashes, borders, index):
            shift = shifts[number]
            moved = _Match(match.start + shift, match.end + shift, match.first, match.after)
            matches.setdefault((pieces[number].text, case), []).append(moved)
        for number, found in _near(words, hashes, borders, index):
            shift = shifts[number]
            moved_too = Reworded(found.case, found.start + shift, found.end + shift, found.similarity)
            near.setdefault((pieces[number].text, found.case), []).append(moved_too)
    result = [overlap for (text, case), some in matches.items() for overlap in _joined(text, case, some, index)]
    exact = {key: [each for each in result if (each.text, each.case) == key] for key in near if key in matches}
    for (text, case), found_here in near.items():
        result += [
            Overlap(text, case, "near", one.start, one.end, one.similarity)
            for one in _apart(found_here)
            if not any(each.start <= one.start and one.end <= each.end for each in exact.get((text, case), ()))
        ]
    return sorted(result, key=lambda each: (each.text, each.start, each.end, each.case, each.kind))


def _groups(texts: Sequence[str]) -> Iterator[list[_Piece]]:
    """The texts in lower case, long ones in pieces, some together; those of ASCII alone are faster among themselves."""
    for ascii_ in (True, False):
        together: list[_Piece] = []
        size = 0
        for number, text in enumerate(texts):
            if text.isascii() != ascii_:
                continue
            for start, end in _cut(text):
                if together and size + end - start > _TOGETHER:
                    yield together
                    together, size = [], 0
                together.append(_Piece(number, start, fold(text[start:end])))
                size += end - start
        if together:
            yield together


def _cut(text: str) -> Iterator[tuple[int, int]]:
    """Where the pieces of a text begin and end: at white space, as far as there is any."""
    start = 0
    while len(text) - start > _PIECE:
        end = start + _PIECE
        while end > start + _PIECE - _COMMON // 2 and not text[end].isspace():
            end -= 1
        yield start, end
        start = end - _COMMON
        while start < end - _COMMON // 2 and not text[start].isspace():
            start += 1
    yield start, len(text)


def _exact(
    words: HashedWords, hashes: RunHashes, borders: np.ndarray, index: CaseIndex
) -> Iterator[tuple[int, int, _Match]]:
    """Piece, case and place of every run that is one of a case's, and of every short case."""
    length = index.rule.words
    places, keys = index.runs.find(hashes.of(length))
    for place, key, piece in zip(places.tolist(), keys.tolist(), _pieces(places, borders), strict=True):
        if place + length > borders[piece]:
            continue
        run = _text(words, place, length)
        for entry in index.runs.entries(key).tolist():
            case, at = int(index.run_cases[entry]), int(index.run_places[entry])
            if _is_at(run, index.texts[case], at):
                first = int(index.run_words[entry])
                yield piece, case, _match(words, place, length, first)
    places, keys = index.short.find(hashes.of(index.rule.shortest))
    for place, key, piece in zip(places.tolist(), keys.tolist(), _pieces(places, borders), strict=True):
        for entry in index.short.entries(key).tolist():
            case = int(index.short_cases[entry])
            size = index.sizes[case]
            if place + size <= borders[piece] and _text(words, place, size) == index.texts[case]:
                yield piece, case, _match(words, place, size, 0)


def _near(
    words: HashedWords, hashes: RunHashes, borders: np.ndarray, index: CaseIndex
) -> Iterator[tuple[int, Reworded]]:
    """Piece and place of the cases that stand there in other wording."""
    places, keys = index.samples.find(hashes.of(SHINGLE_WORDS))
    if not len(places):
        return
    pieces = np.searchsorted(borders, places, side="right")
    whole = places + SHINGLE_WORDS <= borders[pieces]
    places, keys, pieces = places[whole], keys[whole], pieces[whole]
    of, entries = index.samples.spread(keys)
    cases = index.sample_cases[entries]
    codes = pieces[of] << 32 | cases
    order = np.argsort(codes, kind="stable")
    different, begins, counts = np.unique(codes[order], return_index=True, return_counts=True)
    enough = counts >= index.fewest[different & 0xFFFFFFFF]
    for code, begin, count in zip(
        different[enough].tolist(), begins[enough].tolist(), counts[enough].tolist(), strict=True
    ):
        piece, case = divmod(code, 1 << 32)
        found = of[order[begin : begin + count]]
        yield from (
            (piece, each) for each in reworded(words, places[found], keys[found], int(borders[piece]), case, index)
        )


def _pieces(places: np.ndarray, borders: np.ndarray) -> list[int]:
    found: list[int] = np.searchsorted(borders, places, side="right").tolist()
    return found


def _text(words: HashedWords, place: int, length: int) -> str:
    """A run of words with a space between them."""
    spans = zip(words.starts[place : place + length].tolist(), words.ends[place : place + length].tolist(), strict=True)
    return " ".join(words.text[start:end] for start, end in spans)


def _is_at(run: str, text: str, at: int) -> bool:
    """Whether a case has these words at a character of its text."""
    end = at + len(run)
    return text.startswith(run, at) and text[end : end + 1] in ("", " ")


def _match(words: HashedWords, place: int, length: int, first: int) -> _Match:
    return _Match(int(words.starts[place]), int(words.ends[place + length - 1]), first, first + length)


def _joined(text: int, case: int, matches: list[_Match], index: CaseIndex) -> Iterator[Overlap]:
    """The stretches that matches of one case in one text make together."""
    ordered = sorted(matches, key=lambda match: (match.start, match.end))
    start, end = ordered[0].start, ordered[0].end
    seen: set[int] = set()
    for match in ordered:
        if match.start > end:
            yield Overlap(text, case, "exact", start, end, len(seen) / index.sizes[case])
            start, end, seen = match.start, match.end, set()
        end = max(end, match.end)
        seen.update(range(match.first, match.after))
    yield Overlap(text, case, "exact", start, end, len(seen) / index.sizes[case])


def _apart(found: list[Reworded]) -> list[Reworded]:
    """The same without those that overlap a better one, as they do where two pieces have text in common."""
    kept: list[Reworded] = []
    for one in sorted(found, key=lambda each: (-each.similarity, each.start)):
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return kept
