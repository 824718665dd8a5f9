"""The held-out number of fine-tuning: bits per byte of the assistant's answers in the validation split.

Every token that training would count is predicted once, given all of its conversation before it; the nats are divided
by the UTF-8 bytes of the answers, without the control tokens that end them. So the number compares models with
different tokenizers and templates, as bits per byte of documents do.

The sample is always the same: conversations in the order of the sha256 of their id until the next would go beyond the
tokens allowed, and at least one; those longer than the window are left out, and known by name.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from loresmith.data.messages_dataset import DatasetRecord
from loresmith.models.conversation import ConversationRenderer
from loresmith.training.message_rows import rendered_records
from loresmith.training.objective import MicroBatch
from loresmith.training.predictor import Predictor
from loresmith.training.rows import Row, shifted


class HeldOutAnswers:
    """A sample of the validation split.

    Args:
        records: of that split.
        renderer: makes tokens of them.
        tokens: how many tokens the sample has, at most.
        window: positions that the model sees at once.
        batch_tokens: positions in a batch.

    Attributes:
        records: how many there are in the sample.
        bytes: UTF-8 bytes of the answers.
        too_long: the records of the whole split that are longer than the window, with their lengths.
    """

    def __init__(
        self,
        records: Iterable[DatasetRecord],
        renderer: ConversationRenderer,
        tokens: int,
        window: int,
        batch_tokens: int,
    ) -> None:
        self._rows: list[Row] = []
        self._batch_tokens = batch_tokens
        self.bytes = 0
        self.too_long: list[str] = []
        taken, full = 0, False
        ordered = sorted(records, key=lambda record: hashlib.sha256(record.id.encode()).digest())
        for record, rendered in rendered_records(ordered, renderer):
            counted = rendered.assistant_mask[1:].astype(np.float32)
            if len(counted) > window:
                self.too_long.append(f"{record.where}: {len(rendered.ids)} tokens")
                continue
            full = full or bool(self._rows and taken + len(counted) > tokens)
            if full or not counted.any():
                continue
            self._rows.append(shifted(rendered.ids, counted))
            self.bytes += len(renderer.words(rendered).encode())
            taken += len(counted)
        self.records = len(self._rows)

    def bits_per_byte(self, model: Any, on_batch: Callable[[int], None] | None = None) -> float:
        """Score the sample; `on_batch` is called after every batch and may raise to stop."""
        was_training = model.training
        model.eval()
        try:
            nats = math.fsum(self._nats(Predictor(model), on_batch))
        finally:
            model.train(was_training)
        return nats / math.log(2) / self.bytes

    @torch.no_grad()
    def _nats(self, predictor: Predictor, on_batch: Callable[[int], None] | None) -> Iterator[float]:
        done = 0
        for rows in self._batches():
            batch = _padded(rows, predictor.model.device)
            predictions = predictor.predict(batch)
            yield float(predictions.cross_entropy(batch.targets.flatten(), batch.weights.flatten())[1])
            done += len(rows)
            if on_batch is not None:
                on_batch(done)

    def _batches(self) -> Iterator[list[Row]]:
        batch: list[Row] = []
        for row in sorted(self._rows, key=lambda row: -len(row.inputs)):  # the first is the longest of its batch
            if batch and len(batch[0].inputs) * (len(batch) + 1) > self._batch_tokens:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch


def _padded(rows: list[Row], device: torch.device) -> MicroBatch:
    def together(values: list[Any]) -> Tensor:
        return pad_sequence([torch.from_numpy(value) for value in values], batch_first=True).to(device)

    return MicroBatch(
        together([row.inputs for row in rows]),
        together([row.targets for row in rows]),
        together([row.weights for row in rows]),
    )
