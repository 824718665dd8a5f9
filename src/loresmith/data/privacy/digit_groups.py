"""Where a text has digits: groups of them, and runs of groups that may be one number; a whole text at a time."""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MINIMUM_RUN = 6
"""Digits of the shortest run: numbers of people and accounts have at least so many."""

LONGEST_GROUP = 20
"""Digits from which on it does not matter how many there are."""

_BETWEEN = np.zeros(256, dtype=bool)
_BETWEEN[list(b" ./()-abcdefghijklmnopqrstuvwxyz")] = True
_WIDEST_GAP = 3
_DIGITS = re.compile(rb"[0-9]+")
_NOWHERE = np.zeros(0, dtype=np.intp)
_SHORT = 1000  # bytes up to which an expression is faster than arrays: so long are the texts that a guard looks at
_SPACE = ord(" ")

OTHER, LETTER = 0, 1
_CLASSES = np.zeros(256, dtype=np.uint8)
_CLASSES[list(b"abcdefghijklmnopqrstuvwxyz")] = LETTER
SEPARATORS = " -./"
for _number, _separator in enumerate(SEPARATORS):
    _CLASSES[ord(_separator)] = LETTER + 1 + _number
CLASSES = LETTER + 1 + len(SEPARATORS)
"""What may stand behind a group: something else, a letter, or one of the separators in their order."""


class DigitGroups:
    """The groups of digits of a text.

    Attributes:
        starts: the place of the first digit of each group.
        ends: the place after its last.
    """

    def __init__(self, lowered: bytes) -> None:
        """Find them.

        Args:
            lowered: the text in lower case, a byte a character.
        """
        self._lowered = lowered
        edges = self._edges()
        self.starts: NDArray[np.intp] = edges[::2]
        self.ends: NDArray[np.intp] = edges[1::2]

    def _edges(self) -> NDArray[np.intp]:
        """Where digits begin and end, in turn."""
        if len(self._lowered) <= _SHORT:
            if len(self._lowered.translate(None, b"0123456789")) == len(self._lowered):
                return _NOWHERE
            return np.array([edge for found in _DIGITS.finditer(self._lowered) for edge in found.span()], dtype=np.intp)
        is_digit = np.zeros(len(self._bytes) + 1, dtype=bool)
        np.less(self._bytes - np.uint8(ord("0")), 10, out=is_digit[1:])
        return np.flatnonzero(is_digit[1:] != is_digit[:-1])

    @cached_property
    def _bytes(self) -> NDArray[np.uint8]:
        """The text, and what may be looked at behind it."""
        return np.frombuffer(self._lowered + bytes(_WIDEST_GAP), dtype=np.uint8)

    @cached_property
    def shapes(self) -> tuple[NDArray[np.intp], NDArray[np.uint8], NDArray[np.intp]]:
        """Of each group its digits, the class of what stands behind it, and the digits of a group right behind that.

        Both counts stop at `LONGEST_GROUP`; the last is 0 where no group follows after exactly one character.
        """
        lengths = np.minimum(self.ends - self.starts, LONGEST_GROUP)
        following = np.zeros_like(lengths)
        if len(lengths):
            following[:-1] = np.where(self.starts[1:] - self.ends[:-1] == 1, lengths[1:], 0)
        return lengths, _CLASSES[self._bytes[self.ends]], following

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """Start and end of every stretch of groups that stand as close together as those of one number.

        Between two of them are at most three spaces, letters and `./()-`, but not two spaces; six digits and more.
        """
        starts, ends, text = self.starts, self.ends, self._bytes
        if not len(starts):
            return []
        gaps, after = starts[1:] - ends[:-1], ends[:-1]
        joined = (gaps <= _WIDEST_GAP) & _BETWEEN[text[after]]
        for place in range(1, _WIDEST_GAP):
            joined &= (gaps <= place) | _BETWEEN[text[after + place]]
        joined &= (gaps != 2) | (text[after] != _SPACE) | (text[after + 1] != _SPACE)
        first = np.flatnonzero(np.r_[True, ~joined])
        last = np.r_[first[1:], len(starts)] - 1
        wanted = np.add.reduceat(ends - starts, first) >= MINIMUM_RUN
        return list(zip(starts[first[wanted]].tolist(), ends[last[wanted]].tolist(), strict=True))
