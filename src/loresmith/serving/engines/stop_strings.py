"""Text that ends before the first of some strings, in whatever pieces it comes."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Holds back what could be the beginning of a stop string.

    Attributes:
        stopped_by: the stop string that was met.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = [text for text in stop if text]
        self._held = ""
        self.stopped_by: str | None = None

    def add(self, piece: str) -> str:
        """What is certain with this piece and was not before; "" once a stop string was met."""
        if self.stopped_by is not None:
            return ""
        text = self._held + piece
        found = self._first(text)
        if found is not None:
            self._held = ""
            return text[:found]
        ready = len(text) - self._possible_beginning(text)
        self._held = text[ready:]
        return text[:ready]

    def end(self, piece: str = "") -> str:
        """The rest, when `piece` is the last."""
        text = self.add(piece)
        rest, self._held = self._held, ""
        return text + rest

    def _first(self, text: str) -> int | None:
        """Where the stop string begins that is complete first; of two that end together, the longer."""
        places = [(at + len(stop), at, stop) for stop in self._stop if (at := text.find(stop)) >= 0]
        if not places:
            return None
        _, at, self.stopped_by = min(places)
        return at

    def _possible_beginning(self, text: str) -> int:
        """Length of the longest end of `text` with which one of the stop strings begins."""
        return max(
            (
                size
                for stop in self._stop
                for size in range(1, min(len(stop), len(text) + 1))
                if text.endswith(stop[:size])
            ),
            default=0,
        )
