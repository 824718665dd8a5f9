"""All ways in which a guard reads a text, worked out once for all guards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from loresmith.serving.guards.decoding import codes, spelled, unescaped, unseen
from loresmith.serving.guards.folding import folded
from loresmith.serving.guards.view import View

DEEPEST = 3
"""How many codes inside one another are read: base64 of base64 of an escaped text."""

MOST = 256
"""Views of a text at most, and one more for every hundred characters. Whoever writes more codes into one is refused."""

_RUN = r"A-Za-z0-9+/=_\-.%@:~&#?\\"
_OPEN_BACKWARDS = re.compile(
    rf"[{_RUN}]*(?:(?:\n\r?|[ \t>])+[A-Za-z0-9+/_-]{{16,}}(?![{_RUN}]))*"
    r"(?:[ .,_*|/~\-]?[A-Za-z0-9@$!](?![A-Za-z0-9@$!])){0,256}"
    r"(?:[ ,:;]{1,2}[0-9A-Fa-f]{2,8}(?![0-9A-Za-z])){0,256}"
)


class TooHidden(ValueError):
    """A text has more codes in it than anybody needs."""


class Views:
    """A text as guards read it.

    Attributes:
        given: the text.
    """

    def __init__(self, given: str) -> None:
        self.given = given

    @cached_property
    def plain(self) -> View:
        """As it is."""
        return View(self.given)

    @cached_property
    def look(self) -> View:
        """As it looks; see `folding`."""
        return folded(self.given) or self.plain

    @cached_property
    def all(self) -> tuple[View, ...]:
        """Every way to read it, the plain one first.

        Raises:
            TooHidden: there are more than `MOST`.
        """
        views: list[View] = []
        most = MOST + len(self.given) // 100
        for view in self._all():
            views.append(view)
            if len(views) > most:
                raise TooHidden(f"a text with more than {most} codes in it")
        return tuple(views)

    def _all(self) -> Iterator[View]:
        yield self.plain
        if self.look is not self.plain:
            yield self.look
        yield from self._hidden_in(self.look, 1)
        for view in unseen(self.given):
            yield view
            yield from self._hidden_in(view, 2)

    def _hidden_in(self, view: View, depth: int) -> Iterator[View]:
        if depth > DEEPEST:
            return
        known: set[tuple[str, int, int]] = set()
        read = unescaped(view.text)
        bases = [view] if read is None else [view, self._looking(view.then(read))]
        yield from bases[1:]
        for base in bases:
            for coded in (*codes(base.text), *spelled(base.text)):
                found = self._looking(base.then(coded))
                told = (found.text, *(found.given(0, len(found.text)) if found.text else (0, 0)))
                if not found.text or told in known:
                    continue  # nothing to see, or found again in the text without escapes
                known.add(told)
                yield found
                if coded.form != "spelled":
                    yield from self._hidden_in(found, depth + 1)

    @staticmethod
    def _looking(view: View) -> View:
        looks = folded(view.text)
        return view if looks is None else view.then(View(looks.text, "", looks.starts, looks.ends))


def open_end(views: Views) -> int:
    """Where in the given text that begins which may not be over where it ends: a word, a code, letters spelled."""
    looks = views.look
    found = _OPEN_BACKWARDS.match(looks.text[::-1])
    length = found.end() if found else 0
    if not length:
        return len(views.given)
    return looks.given(len(looks.text) - length, len(looks.text))[0]


def last_seen(views: Views, characters: int) -> int:
    """Where in the given text the last so many characters begin that somebody sees."""
    looks = views.look
    if len(looks.text) <= characters:
        return 0
    if not characters:
        return len(views.given)
    return looks.given(len(looks.text) - characters, len(looks.text))[0]
