"""Text to token ids, as `pack` makes them for training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from loresmith.errors import UserError


class Encoder:
    """A fast tokenizer, reduced to what scoring needs.

    Attributes:
        vocabulary_size: every id is below it.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.vocabulary_size = int(tokenizer.get_vocab_size(with_added_tokens=True))

    @classmethod
    def load(cls, directory: Path) -> Encoder:
        """The tokenizer of a `tokenizer` or `model` asset.

        Raises:
            UserError: there is no tokenizer.json.
        """
        file = directory / "tokenizer.json"
        if not file.is_file():
            raise UserError("there is no fast tokenizer here: no tokenizer.json", where=str(directory))
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer)

    def ids(self, text: str) -> NDArray[np.int64]:
        """(n,) token ids of a text: nothing added, nothing cut off."""
        (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        return np.asarray(encoding.ids, dtype=np.int64)
