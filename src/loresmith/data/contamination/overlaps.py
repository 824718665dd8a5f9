"""Where the cases of an index stand in texts, over whole batches of text at once.

A run of words that has the hash of a case's run is compared with it word by word, so that two different texts are never
taken for the same. What is found in other wording is compared by the words of the runs, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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

    case: int
    start: int
    end: int
    first: int
    after: int


def find_overlaps(texts: Sequence[str], index: CaseIndex) -> list[Overlap]:
    """All overlaps of some texts with the cases of an index, by text, then by where they begin.

    Stretches of one case that touch are one overlap. Where most of a case is exact, it is not looked for as near.
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
        here: dict[tuple[int, int], list[_Match]] = {}
        for number, match in _exact(words, hashes, borders, index):
            here.setdefault((number, match.case), []).append(match)
        for (number, case), some in here.items():
            shift = shifts[number]
            moved = (replace(match, start=match.start + shift, end=match.end + shift) for match in some)
            matches.setdefault((pieces[number].text, case), []).extend(moved)
        for number, found in _near(words, hashes, borders, here, index):
            shift = shifts[number]
            there = replace(found, start=found.start + shift, end=found.end + shift)
            near.setdefault((pieces[number].text, found.case), []).append(there)
    result = [overlap for key, some in matches.items() for overlap in _joined(*key, some, index)]
    result += [
        Overlap(*key, "near", one.start, one.end, one.similarity) for key, some in near.items() for one in _apart(some)
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
    words: HashedWords, hashes: RunHashes, borders: NDArray[np.intp], index: CaseIndex
) -> Iterator[tuple[int, _Match]]:
    """Piece and place of every stretch of words that is one of a case's, and of every short case."""
    length = index.rule.words
    places, keys = index.runs.find(hashes.of(length))
    pieces = np.searchsorted(borders, places, side="right")
    whole = places + length <= borders[pieces]
    places, keys, pieces = places[whole], keys[whole], pieces[whole]
    of, entries = index.runs.spread(keys)
    rows = np.stack([index.run_cases[entries].astype(np.int64), places[of] - index.run_words[entries], places[of]])
    order = np.lexsort(rows[::-1])
    rows, of, entries = rows[:, order], of[order], entries[order]
    # Runs that follow one another both in the text and in the case are one stretch, and looked at once.
    begins = np.flatnonzero(np.r_[True, np.any(np.diff(rows, axis=1) != [[0], [0], [1]], axis=0)][: len(entries)])
    for begin, after in zip(begins.tolist(), [*begins[1:].tolist(), len(entries)], strict=False):
        piece = int(pieces[of[begin]])
        if _is_there(words, int(rows[2, begin]), after - begin + length - 1, int(entries[begin]), index):
            yield piece, _match(words, rows[:, begin], after - begin + length - 1)
            continue
        for at in range(begin, after):  # the hashes are equal and the words are not
            if _is_there(words, int(rows[2, at]), length, int(entries[at]), index):
                yield piece, _match(words, rows[:, at], length)
    for length, (table, cases) in index.short.items():
        places, keys = table.find(hashes.of(length))
        for place, key, piece in zip(places.tolist(), keys.tolist(), _pieces(places, borders), strict=True):
            for case in cases[table.entries(key)].tolist():
                size = index.sizes[case]
                if place + size <= borders[piece] and _text(words, place, size) == index.texts[case]:
                    yield piece, _match(words, np.array([case, place, place]), size)


def _near(
    words: HashedWords,
    hashes: RunHashes,
    borders: NDArray[np.intp],
    exact: Mapping[tuple[int, int], Sequence[_Match]],
    index: CaseIndex,
) -> Iterator[tuple[int, Reworded]]:
    """Piece and place of the cases that stand there in other wording; not where most of a case is word for word."""
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
        for match in exact.get((piece, case), ()):
            if match.after - match.first >= (index.rule.similarity or 1.0) * index.sizes[case]:
                at = words.starts[places[found]]
                found = found[(at < match.start) | (at >= match.end)]
        if len(found) < index.fewest[case]:
            continue
        yield from (
            (piece, each) for each in reworded(words, places[found], keys[found], int(borders[piece]), case, index)
        )


def _pieces(places: NDArray[np.intp], borders: NDArray[np.intp]) -> list[int]:
    found: list[int] = np.searchsorted(borders, places, side="right").tolist()
    return found


def _text(words: HashedWords, place: int, length: int) -> str:
    """A run of words with a space between them."""
    spans = zip(words.starts[place : place + length].tolist(), words.ends[place : place + length].tolist(), strict=True)
    return " ".join(words.text[start:end] for start, end in spans)


def _is_there(words: HashedWords, place: int, length: int, entry: int, index: CaseIndex) -> bool:
    """Whether the words that begin at a place are those of a case from an entry's on."""
    text, at = index.texts[int(index.run_cases[entry])], int(index.run_places[entry])
    wanted = _text(words, place, length)
    end = at + len(wanted)
    return text.startswith(wanted, at) and text[end : end + 1] in ("", " ")


def _match(words: HashedWords, row: NDArray[np.int64], length: int) -> _Match:
    """The stretch of so many words that begins at a row: case, by how many words the text is ahead of it, and place."""
    case, ahead, place = row.tolist()
    last = place + length - 1
    return _Match(case, int(words.starts[place]), int(words.ends[last]), place - ahead, place - ahead + length)


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
