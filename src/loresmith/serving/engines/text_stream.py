"""Text as it becomes certain: whole characters, and nothing that could be the beginning of a stop string."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokenizers.decoders import DecodeStream

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TextStream:
    """The text of one answer.

    Args:
        tokenizer: a fast one; control tokens are left out of the text.
        stop: the text ends before the first of these strings that is complete, across whatever tokens it comes.

    Attributes:
        stopped_by: the stop string that was met.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._stop = [text for text in stop if text]
        self._ids: list[int] = []
        self._decoded = 0
        self._held = ""
        self.stopped_by: str | None = None

    def add(self, token: int) -> str:
        """What is certain with this token and was not before."""
        self._ids.append(token)
        piece = self._stream.step(self._backend, token) or ""
        return self._certain(piece)

    def end(self) -> str:
        """The rest, when no more tokens come: bytes that make no character are told as U+FFFD."""
        if self.stopped_by is not None:
            return ""
        whole = str(self._backend.decode(self._ids, skip_special_tokens=True))
        rest, self._held = self._held + whole[self._decoded :], ""
        found = self._first_stop(rest)
        return rest if found is None else rest[:found]

    def _certain(self, piece: str) -> str:
        self._decoded += len(piece)
        text = self._held + piece
        found = self._first_stop(text)
        if found is not None:
            self._held = ""
            return text[:found]
        ready = len(text) - self._possible_beginning(text)
        self._held = text[ready:]
        return text[:ready]

    def _first_stop(self, text: str) -> int | None:
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
