"""The held-out number of a training: bits per byte on documents of the validation split.

How it is counted is stated in `loresmith.evaluation.bits_per_byte`, which does the counting here as well as in
`evaluate`: every token of a scored document is predicted exactly once, those that begin a window and the
end-of-document token after the text included, given at least half a window of the document where it has as much; the
first token of a document is predicted from the end-of-document token alone. The nats of all of them are divided by the
UTF-8 bytes of the text.

During training a sample of the split is scored, always the same: documents in the order of the sha256 of their id
until the next would go beyond the tokens allowed, and at least one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from torch import nn

from loresmith.data.shards import TokenShards
from loresmith.evaluation.bits_per_byte import TokenDocument, bits_per_byte, score_documents


class HeldOut:
    """A sample of the validation split.

    Args:
        shards: a `tokens` asset.
        tokens: how many tokens are scored, at most.
        window: positions that the model sees at once.
        batch_tokens: positions in a batch.
    """

    def __init__(self, shards: TokenShards, tokens: int, window: int, batch_tokens: int) -> None:
        self.documents = _sample(shards, tokens)
        self.window = window
        self.batch_tokens = batch_tokens

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the sample."""
        return sum(document.bytes for document in self.documents)

    def bits_per_byte(self, model: nn.Module, on_batch: Callable[[int], None] | None = None) -> float:
        """Score the sample; `on_batch` is called after every batch and may raise to stop."""
        device = next(model.parameters()).device
        scores = score_documents(
            model,
            self.documents,
            window=self.window,
            batch_tokens=self.batch_tokens,
            device=device,
            on_batch=on_batch,
        )
        return bits_per_byte(scores)


def _sample(shards: TokenShards, tokens: int) -> list[TokenDocument]:
    if "validation" not in shards.splits or not shards.splits["validation"].documents:
        return []
    stream = shards.split("validation")
    rows = stream.documents().select(["id", "offset", "tokens", "bytes"]).to_pylist()
    chosen: list[TokenDocument] = []
    taken = 0
    for row in sorted(rows, key=lambda row: hashlib.sha256(row["id"].encode()).digest()):
        if chosen and taken + row["tokens"] > tokens:
            break
        ids = [shards.end_of_document, *stream.read(row["offset"], row["tokens"]).tolist()]
        chosen.append(TokenDocument(row["id"], "", ids, row["bytes"]))
        taken += row["tokens"]
    return chosen
