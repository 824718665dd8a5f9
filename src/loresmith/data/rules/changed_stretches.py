"""The smallest stretches in which two texts differ, as edits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from loresmith.data.edited_text import Edit

_PLAIN = re.compile(r"[ -~]+")
_COMPARED = 1 << 14  # pairs of characters; comparing takes the square of as many steps at worst

_Gap = tuple[int, int, int, int]
"""Start and end of a stretch of the text before, and of what takes its place in the text after."""


def changed_stretches(before: str, after: str, at: int, rule: str) -> Iterator[Edit]:
    """What turns `before`, which begins at character `at` of a text, into `after`: in order, and without overlaps.

    Repairs leave printable ASCII as it is, with few exceptions: its runs are looked for in the text after, one behind
    the other, and the stretches between them compared. Where a run is not found, one edit reaches from the first to
    the last difference, unless the texts are short enough to be compared character by character.
    """
    gaps = _between_plain_runs(before, after) or [(0, len(before), 0, len(after))]
    for start, end, low, high in gaps:
        for first, last, new in _trimmed(before[start:end], after[low:high]):
            yield Edit(at + start + first, at + start + last, new, rule)


def _between_plain_runs(before: str, after: str) -> list[_Gap]:
    """The stretches between runs that stay; none if that cannot be told."""
    gaps: list[_Gap] = []
    done = reached = 0
    for run in _PLAIN.finditer(before):
        start, text = run.start(), run[0]
        place = after.find(text, reached)
        if place < 0 and text.startswith(" ") and len(text) > 1:  # a space may be what is left of a no-break space
            start, text = start + 1, text[1:]
            place = after.find(text, reached)
        if place < 0:
            return []
        gaps.append((done, start, reached, place))
        done, reached = run.end(), place + len(text)
    return [*gaps, (done, len(before), reached, len(after))]


def _trimmed(before: str, after: str) -> Iterator[tuple[int, int, str]]:
    """Start and end of each stretch of a text that is changed, and what takes its place."""
    if before == after:
        return
    shorter = min(len(before), len(after))
    left = next((place for place in range(shorter) if before[place] != after[place]), shorter)
    right = next((place for place in range(shorter - left) if before[-1 - place] != after[-1 - place]), shorter - left)
    old, new = before[left : len(before) - right], after[left : len(after) - right]
    if not old or not new or len(old) * len(new) > _COMPARED:
        yield left, left + len(old), new
        return
    for operation, start, end, low, high in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if operation != "equal":
            yield left + start, left + end, new[low:high]
