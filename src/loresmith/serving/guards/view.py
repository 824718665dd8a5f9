"""A text as a guard reads it, and the way back to where each of its characters stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """One way to read a text.

    Attributes:
        text: what is read.
        form: how it came of the text that was given, such as `base64`; empty: it is that text.
        starts, ends: for each character of `text` the stretch of the given text that it came of; empty where each
            stands where it stood.
    """

    text: str
    form: str = ""
    starts: Sequence[int] = ()
    ends: Sequence[int] = ()

    def given(self, start: int, end: int) -> tuple[int, int]:
        """Where in the given text the characters from `start` to `end` (at least one) came from."""
        if not self.starts:
            return start, end
        return min(self.starts[start:end]), max(self.ends[start:end])

    def then(self, other: View) -> View:
        """What `other`, a view of this view's text, is of the text that this one is of."""
        form = "+".join(filter(None, (self.form, other.form)))
        if not self.starts:
            return View(other.text, form, other.starts, other.ends)
        if not other.starts:
            return View(other.text, form, self.starts, self.ends)
        starts, ends = self.starts, self.ends
        return View(
            other.text,
            form,
            [starts[place] for place in other.starts],
            [ends[place - 1] for place in other.ends],
        )


class Rewriting:
    """Makes a view of a text, from its beginning to its end, out of what is kept and what is replaced."""

    def __init__(self, given: str) -> None:
        self._given = given
        self._done = 0
        self._parts: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []

    def replace(self, start: int, end: int, text: str) -> None:
        """Put `text` in place of characters start .. end - 1, which are behind those that were replaced before.

        As many characters as there were come each of its own; others all of all of them.
        """
        self._keep(start)
        self._parts.append(text)
        if len(text) == end - start:
            self._starts.extend(range(start, end))
            self._ends.extend(range(start + 1, end + 1))
        else:
            self._starts.extend([start] * len(text))
            self._ends.extend([end] * len(text))
        self._done = end

    def view(self, form: str) -> View:
        """The view, when everything has been replaced."""
        self._keep(len(self._given))
        return View("".join(self._parts), form, self._starts, self._ends)

    def _keep(self, end: int) -> None:
        self._parts.append(self._given[self._done : end])
        self._starts.extend(range(self._done, end))
        self._ends.extend(range(self._done + 1, end + 1))
        self._done = end


def piece(text: str, form: str, start: int, end: int) -> View:
    """A text that characters start .. end - 1 stand for as a whole."""
    return View(text, form, [start] * len(text), [end] * len(text))
