"""Text to token ids, in the one way in which packing, scoring and baselines do it.

A document is its text's tokens, then the end-of-document token. Text that spells a special token (`<|im_end|>` in a
document about chat templates) is encoded as the characters that it is: nobody can end a turn or a document by writing
it down.

`tokenizers` is the one that says what the ids are. Where a record beside the tokenizer says that a faster encoder gave
the same ids for a sample of the user's texts, that one is used (`fast_encoding`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from loresmith.data.encoding_record import agreement_holds, libraries, open_tokenizer
from loresmith.data.fast_encoding import FastEncoding
from loresmith.errors import UserError


class Encoder:
    """A fast tokenizer, reduced to what turning documents into ids needs.

    Attributes:
        vocabulary_size: every id is below it.
        end_of_document: the id that follows every document, and is all that a model knows before the next.
        library: what encodes, with its version.
    """

    def __init__(self, tokenizer: Tokenizer, end_of_document: int, fast: FastEncoding | None = None) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # that is: as ordinary text
        self._tokenizer = tokenizer
        self._fast = fast
        self.library = libraries()[fast is not None]
        self.vocabulary_size = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())  # ids may have gaps
        self.end_of_document = end_of_document

    @classmethod
    def load(cls, directory: Path) -> Encoder:
        """The tokenizer of a `tokenizer` or `model` asset.

        Raises:
            UserError: there is no tokenizer.json, or no end-of-document token is named.
        """
        file = directory / "tokenizer.json"
        if not file.is_file():
            raise UserError("there is no fast tokenizer here: no tokenizer.json", where=str(directory))
        settings = directory / "tokenizer_config.json"
        named = json.loads(settings.read_text(encoding="utf-8")).get("eos_token") if settings.is_file() else None
        token = named["content"] if isinstance(named, dict) else named
        tokenizer = open_tokenizer(directory)
        end_of_document = tokenizer.token_to_id(token) if token is not None else None
        if end_of_document is None:
            raise UserError(
                "the tokenizer names no end-of-document token (eos_token of tokenizer_config.json), from which every "
                "document begins",
                where=str(directory),
            )
        encoder = cls(tokenizer, end_of_document)
        return encoder.made_fast() if agreement_holds(directory) else encoder

    def made_fast(self, fast: FastEncoding | None = None) -> Encoder:
        """The same with a faster encoder, for a caller who compares it with `made_exact`.

        Args:
            fast: the faster encoder; made here if None.

        Raises:
            NotFast: there is none for this tokenizer.
        """
        return Encoder(self._tokenizer, self.end_of_document, fast or FastEncoding(self._tokenizer))

    def made_exact(self) -> Encoder:
        """The same by the tokenizer itself."""
        return Encoder(self._tokenizer, self.end_of_document)

    def document(self, text: str) -> NDArray[np.int64]:
        """(n + 1,) token ids of a text and of the end of the document."""
        (ids,) = self.documents([text])
        return ids

    def documents(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """The ids of several documents. The tokenizer itself encodes on as many threads as the process may use, and
        the faster encoder on this one."""
        if self._fast is None:
            return self._encoded(texts)
        fast = [self._fast.ids(text) for text in texts]
        others = iter(self._encoded([text for text, ids in zip(texts, fast, strict=True) if ids is None]))
        return [next(others) if ids is None else np.append(ids, self.end_of_document) for ids in fast]

    def parts(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """The ids of texts that are no documents of their own."""
        return [ids[:-1] for ids in self.documents(texts)]

    def _encoded(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.asarray([*encoding.ids, self.end_of_document], dtype=np.int64) for encoding in encodings]

    def id_of(self, token: str) -> int | None:
        """The id of a token, special or not; None if there is no such token."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def text(self, ids: NDArray[np.integer[Any]]) -> str:
        """The text that tokens spell, special tokens included."""
        return str(self._tokenizer.decode(ids.tolist(), skip_special_tokens=False))
