"""Pieces of rendered conversations to ids: control tokens of the template as such, those in messages as text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from loresmith.errors import UserError
from loresmith.models.control_tokens import Piece

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class PieceEncoder:
    """A fast tokenizer, for pieces of a text.

    Args:
        tokenizer: a transformers tokenizer; its engine is copied, since transformers changes that one's settings.

    Raises:
        UserError: it is not a fast one.
    """

    def __init__(self, tokenizer: Any) -> None:
        from tokenizers import Tokenizer

        if not getattr(tokenizer, "is_fast", False):
            raise UserError("conversations need a fast tokenizer, one with a tokenizer.json")
        self._tokenizer: Tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[Sequence[Piece]]) -> list[list[list[int]]]:
        """The ids of each piece of each text, on as many threads as the process may use.

        Raises:
            UserError: a message spells a token that the tokenizer cannot write in any other way.
        """
        inner = [place > 0 and bool(self._line_end) for pieces in texts for place, _ in enumerate(pieces)]
        flat = [piece for pieces in texts for piece in pieces]
        written = ["\n" + piece.text if after else piece.text for piece, after in zip(flat, inner, strict=True)]
        encodings = self._tokenizer.encode_batch_fast(written, add_special_tokens=False)
        ids = iter(
            self._literal(piece.text, after) if piece.literal else self._begun(encoding.ids, piece.text, after)
            for piece, after, encoding in zip(flat, inner, encodings, strict=True)
        )
        return [[next(ids) for _ in pieces] for pieces in texts]

    def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        """What each token spells alone; a part of a character shows as U+FFFD."""
        return tuple(self._tokenizer.decode_batch([[id_] for id_ in ids], skip_special_tokens=False))

    @cached_property
    def _line_end(self) -> list[int]:
        """The ids of a line end, if the tokenizer puts a blank before what begins a text; else none.

        To such a one, SentencePiece's kind, the middle of a text is given after a line end, which does not change and
        is taken off again; as in transformers' `encode_marked_chat`.
        """
        alone, line_end, both = (self._ids(text) for text in ("a", "\n", "\na"))
        return [] if both == line_end + alone else line_end

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _begun(self, ids: Sequence[int], text: str, after: bool) -> list[int]:
        """The ids of a text without those of the line end before it, where there is one."""
        if not after:
            return list(ids)
        if list(ids[: len(self._line_end)]) == self._line_end:
            return list(ids[len(self._line_end) :])
        return self._ids(text)

    def _literal(self, text: str, after: bool) -> list[int]:
        ids = self._begun(self._without_added_tokens("\n" + text if after else text), text, after)
        if self._tokenizer.token_to_id(text) in ids:
            raise UserError(f"a message holds {text!r}, which this tokenizer cannot write as text")
        return ids

    def _without_added_tokens(self, text: str) -> list[int]:
        """The tokenizer's own setting for this leaves out special tokens alone, and not the other added ones."""
        engine = self._tokenizer
        if engine.normalizer is not None:
            text = engine.normalizer.normalize_str(text)
        words = [text] if engine.pre_tokenizer is None else [w for w, _ in engine.pre_tokenizer.pre_tokenize_str(text)]
        return [token.id for word in words for token in engine.model.tokenize(word)]
