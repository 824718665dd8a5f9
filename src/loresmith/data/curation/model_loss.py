"""The loss of a language model over the beginning of a document: what `Perplexity` scores by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from loresmith.data.encoding import Encoder
from loresmith.data.encoding_record import open_tokenizer
from loresmith.models.storage import load_weights

WINDOW = 1024
"""Tokens that the model reads of a document, at most; fewer where it has fewer positions."""

_CHARACTERS = 8  # for each token of the window: no more of a text is encoded than it may need


class ModelLoss:
    """The negative log-likelihood of a text's first tokens.

    The model is given the end-of-document token, and then predicts each token. It computes with one thread, so that the
    same text has the same loss wherever it is scored.

    Args:
        directory: a `model` asset.

    Raises:
        UserError: there is no model, or its tokenizer names no end-of-document token.
    """

    def __init__(self, directory: Path) -> None:
        self._model = load_weights(directory)
        self._model.train(False)
        self._end = Encoder.load(directory).end_of_document
        self._tokenizer = open_tokenizer(directory)
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True  # that is: as ordinary text
        positions = int(getattr(self._model.config.get_text_config(), "max_position_embeddings", 0) or WINDOW)
        self._window = min(WINDOW, positions)

    def __call__(self, text: str) -> tuple[float, int]:
        """Nats, and over how many bytes of UTF-8 they are the sum."""
        encoding = self._tokenizer.encode(text[: self._window * _CHARACTERS], add_special_tokens=False)
        ids = encoding.ids[: self._window]
        if not ids:
            return 0.0, 0
        seen = encoding.offsets[len(ids) - 1][1]
        with torch.no_grad(), _one_thread():
            logits = self._model(input_ids=torch.tensor([[self._end, *ids[:-1]]]), use_cache=False).logits[0]
            nats = float(cross_entropy(logits.float(), torch.tensor(ids), reduction="sum"))
        return nats, len(text[:seen].encode())


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
