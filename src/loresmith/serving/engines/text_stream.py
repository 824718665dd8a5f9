"""Text as it becomes certain: whole characters, and nothing that could be the beginning of a stop string."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokenizers.decoders import DecodeStream

from loresmith.serving.engines.stop_strings import StopStrings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TextStream:
    """The text of one answer.

    Args:
        tokenizer: a fast one; control tokens are left out of the text.
        stop: the text ends before the first of these strings that is complete, across whatever tokens it comes.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str] = ()) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._stop = StopStrings(stop)
        self._ids: list[int] = []
        self._decoded = 0

    @property
    def stopped_by(self) -> str | None:
        """The stop string that was met."""
        return self._stop.stopped_by

    def add(self, token: int) -> str:
        """What is certain with this token and was not before."""
        self._ids.append(token)
        piece = self._stream.step(self._backend, token) or ""
        self._decoded += len(piece)
        return self._stop.add(piece)

    def end(self) -> str:
        """The rest, when no more tokens come: bytes that make no character are told as U+FFFD."""
        whole = str(self._backend.decode(self._ids, skip_special_tokens=True))
        return self._stop.end(whole[self._decoded :])
