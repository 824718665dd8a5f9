"""Texts as a preview may show them: what points at a person or opens a door has the name of its kind instead.

Everything is looked for that can be found, whatever the recipe asks for: a preview is shown on screens and sent around.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from loresmith.data.curation.curation_rules import Privacy
from loresmith.data.edited_text import EditedText
from loresmith.data.preview.previewed import Excerpt
from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.privacy.rules import PrivacyRules
from loresmith.data.rules.repair import Repair

AROUND = 40
"""Characters before and behind a stretch that are shown with it."""

LONGEST = 320
"""Characters of a stretch that are shown; of a longer one, its beginning."""

_WHOLE = 1 << 18
_MARGIN = 1 << 16
"""Characters of a text that are looked at as a whole; in a longer one, so many on each side of what is shown. A private
key's block, the longest there is to find, has a quarter of them."""


_REPAIR = Repair()


@dataclass(frozen=True, order=True)
class Hidden:
    """Characters start .. end - 1 of a text are not shown, but what kind of thing they are."""

    start: int
    end: int
    kind: str


class Veil:
    """Hides what it finds.

    Args:
        privacy: of the recipe; its list of names, countries and model are looked for as well.
    """

    def __init__(self, privacy: Privacy | None) -> None:
        self._recognisers = [Recognisers(PrivacyRules())]
        if privacy is not None:
            self._recognisers.append(privacy.recognisers)

    def find(self, text: str, start: int, end: int) -> list[Hidden]:
        """What is to be hidden of characters start .. end - 1, and of others nearby; also what only a repair of
        characters would show to be something."""
        low, high = 0, len(text)
        if high > _WHOLE:
            low, high = max(0, start - _MARGIN), min(high, end + _MARGIN)
        part = EditedText.of(text[low:high])
        repaired = part.apply(_REPAIR.look(part.text, "", "", ()).edits)
        found = self._found(part.text)
        if repaired is not part:
            found += [_origin(repaired, hidden, high - low) for hidden in self._found(repaired.text)]
        return _merged(Hidden(low + hidden.start, low + hidden.end, hidden.kind) for hidden in found)

    def _found(self, text: str) -> list[Hidden]:
        return [
            Hidden(finding.start, finding.end, finding.kind)
            for recogniser in self._recognisers
            for finding in recogniser.find(text)
        ]

    def beginning(self, text: str, characters: int) -> str:
        """The first characters of a text; fewer where the last of them is hidden."""
        return _veiled(text, 0, min(len(text), characters), self.find(text, 0, characters))

    def excerpt(self, text: str, start: int, end: int) -> Excerpt:
        """Characters start .. end - 1 of a text, and what is around them."""
        return _excerpt(text, start, end, self.find(text, start - AROUND, end + AROUND))

    def change(
        self, before: str, after: EditedText, start: int, end: int, masked: Iterable[Hidden] = ()
    ) -> tuple[Excerpt, Excerpt]:
        """Characters start .. end - 1 of a text, and what stands there after edits.

        What is hidden in one of the two is hidden in the other: a repair may make what was found whole, and a cut may
        leave half of it.

        Args:
            masked: what curation masks in the text.
        """
        low, high = counterpart(after, start, end)
        shown = [_origin(after, found, len(before)) for found in self.find(after.text, low - AROUND, high + AROUND)]
        in_before = _merged([*self.find(before, start - AROUND, end + AROUND), *shown, *masked])
        left = [rest for hidden in in_before for rest in _left(after, hidden)]
        in_after = _merged([*self.find(after.text, low - AROUND, high + AROUND), *left])
        return _excerpt(before, start, end, in_before), _excerpt(after.text, low, high, in_after)


def counterpart(edited: EditedText, start: int, end: int) -> tuple[int, int]:
    """Where the edited text has what stands for characters start .. end - 1 of the original: from the last character
    that is left before them to the first that is left behind them."""
    pieces = edited.pieces
    before = bisect_right(pieces, start - 1, key=lambda piece: piece.start) - 1
    low = 0
    if before >= 0:
        piece = pieces[before]
        low = piece.at + min(piece.length, start - piece.start)
    behind = bisect_right(pieces, end, key=lambda piece: piece.start) - 1
    if behind >= 0 and end < pieces[behind].start + pieces[behind].length:
        return low, max(low, pieces[behind].at + end - pieces[behind].start)
    return low, pieces[behind + 1].at if behind + 1 < len(pieces) else len(edited.text)


def _origin(edited: EditedText, hidden: Hidden, length: int) -> Hidden:
    """What stood in the original, a text of some length, where something is hidden in the edited text; of what an edit
    put there, all that it took away."""
    pieces = edited.pieces
    first = bisect_right(pieces, hidden.start, key=lambda piece: piece.at) - 1
    low = 0
    if first >= 0:
        low = pieces[first].start + min(pieces[first].length, hidden.start - pieces[first].at)
    behind = bisect_left(pieces, hidden.end, key=lambda piece: piece.at)
    if behind and hidden.end <= pieces[behind - 1].at + pieces[behind - 1].length:
        high = pieces[behind - 1].start + hidden.end - pieces[behind - 1].at
    else:
        high = pieces[behind].start if behind < len(pieces) else length
    return Hidden(low, high, hidden.kind)


def _left(edited: EditedText, hidden: Hidden) -> Iterator[Hidden]:
    """What is left in an edited text of characters that are hidden in the original."""
    first = max(0, bisect_right(edited.pieces, hidden.start, key=lambda piece: piece.start) - 1)
    for piece in edited.pieces[first:]:
        if piece.start >= hidden.end:
            return
        low, high = max(hidden.start, piece.start), min(hidden.end, piece.start + piece.length)
        if low < high:
            yield Hidden(piece.at + low - piece.start, piece.at + high - piece.start, hidden.kind)


def _merged(found: Iterable[Hidden]) -> list[Hidden]:
    """In order and without overlaps; what overlaps is hidden as one, under the name of the first."""
    merged: list[Hidden] = []
    for hidden in sorted(found):
        if hidden.start == hidden.end:
            continue
        if merged and hidden.start < merged[-1].end:
            merged[-1] = Hidden(merged[-1].start, max(merged[-1].end, hidden.end), merged[-1].kind)
        else:
            merged.append(hidden)
    return merged


def _excerpt(text: str, start: int, end: int, hidden: list[Hidden]) -> Excerpt:
    shown = min(end, start + LONGEST)
    return Excerpt(
        left=_veiled(text, max(0, start - AROUND), start, hidden),
        text=_veiled(text, start, shown, hidden) + ("…" if shown < end else ""),
        right=_veiled(text, end, min(len(text), end + AROUND), hidden),
    )


def _veiled(text: str, start: int, end: int, hidden: list[Hidden]) -> str:
    """Characters start .. end - 1; what is hidden shows as the name of its kind, also if only a part of it is there."""
    parts = []
    done = start
    for found in hidden:
        if found.end <= start or found.start >= end:
            continue
        parts += [text[done : max(done, found.start)], f"[{found.kind.upper()}]"]
        done = min(end, found.end)
    return "".join((*parts, text[done:end]))
