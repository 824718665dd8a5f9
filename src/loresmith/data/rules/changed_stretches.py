"""The smallest stretches in which two texts differ, as edits."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from loresmith.data.edited_text import Edit

_COMPARED = 1 << 22  # pairs of characters; comparing takes as many steps at worst


def changed_stretches(before: str, after: str, at: int, rule: str) -> Iterator[Edit]:
    """What turns `before`, which begins at character `at` of a text, into `after`: in order, and without overlaps.

    Where very long texts differ in many places, one edit reaches from the first to the last of them.
    """
    shorter = min(len(before), len(after))
    left = next((place for place in range(shorter) if before[place] != after[place]), shorter)
    right = next((place for place in range(shorter - left) if before[-1 - place] != after[-1 - place]), shorter - left)
    old, new = before[left : len(before) - right], after[left : len(after) - right]
    at += left
    if not old or not new or len(old) * len(new) > _COMPARED:
        if old or new:
            yield Edit(at, at + len(old), new, rule)
        return
    for operation, start, end, low, high in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if operation != "equal":
            yield Edit(at + start, at + end, new[low:high], rule)
