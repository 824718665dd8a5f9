"""Batches of token sequences, addressable by step: nothing has to be replayed to begin in the middle.

A stream of n tokens is cut into (n - 1) // T samples; sample i has the inputs i T .. i T + T - 1 and the targets one
further, so that every token but the first and a tail is a target exactly once an epoch. Documents follow one another in
the stream, an end-of-document token between them, and a sample may hold the end of one and the beginning of the next.
Step s takes the samples s R .. s R + R - 1 of the order that (seed, epoch) decide, R sequences a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from loresmith.data.order import SampleOrder
from loresmith.data.shards import TokenStream
from loresmith.errors import UserError
from loresmith.ledger.books import Account, Entry
from loresmith.training.objective import Batch, MicroBatch


@dataclass(frozen=True)
class TokenBatches:
    """The batches of one training.

    Attributes:
        stream: the tokens.
        sequence_length: targets in a sequence (T).
        batch_tokens: targets in a step, a multiple of `sequence_length`.
        micro_batch_tokens: targets that go through the model at once; rounded down to whole sequences, at least one.
        seed: decides the order.
    """

    stream: TokenStream
    sequence_length: int
    batch_tokens: int
    micro_batch_tokens: int
    seed: int

    def __post_init__(self) -> None:
        if self.batch_tokens % self.sequence_length:
            raise UserError(
                f"batch_tokens {self.batch_tokens} is not a multiple of sequence_length {self.sequence_length}"
            )
        if self.samples < 1:
            raise UserError(
                f"sequence_length {self.sequence_length} is longer than the data: "
                f"the {self.stream.name} split has {len(self.stream)} tokens",
                hint="lower sequence_length, or train on more text",
            )
        if self.samples * self.sequence_length < self.batch_tokens:
            raise UserError(
                f"the {self.stream.name} split has {len(self.stream)} tokens, fewer than one batch of "
                f"{self.batch_tokens}",
                hint="lower batch_tokens, or train on more text",
            )

    @property
    def samples(self) -> int:
        """Sequences in an epoch."""
        return (len(self.stream) - 1) // self.sequence_length

    @property
    def sequences(self) -> int:
        """Sequences in a step."""
        return self.batch_tokens // self.sequence_length

    def batch(self, step: int, device: torch.device | str = "cpu") -> Batch:
        """The batch of a step, counted from 0."""
        rows = [
            self.stream.read(int(sample) * self.sequence_length, self.sequence_length + 1)
            for sample in self._order.take(step * self.sequences, self.sequences)
        ]
        ids_RT = torch.from_numpy(np.stack(rows).astype(np.int64)).to(device)
        at_once = max(1, self.micro_batch_tokens // self.sequence_length)
        return Batch(
            tuple(
                MicroBatch(part_BT[:, :-1], part_BT[:, 1:], torch.ones(part_BT[:, 1:].shape, device=device))
                for part_BT in torch.split(ids_RT, at_once)
            ),
            self.batch_tokens,
        )

    def account(self, steps: int, trained: int) -> Account:
        """Where the tokens of the split went in a training: every epoch begun counts them anew.

        Args:
            steps: how many steps it had; what was left over follows from them.
            trained: tokens trained on, as the loop counted them.
        """
        used = steps * self.sequences
        epochs = max(1, -(-used // self.samples))
        covered = self.samples * self.sequence_length
        left = (
            Entry(disposition="kept", reason="", count=trained),
            Entry(
                disposition="dropped",
                reason="the budget ended before they came",
                count=epochs * covered - used * self.sequence_length,
            ),
            Entry(
                disposition="dropped",
                reason="the first token of the split, which nothing predicts, and a tail shorter than a sequence",
                count=epochs * (len(self.stream) - covered),
            ),
        )
        return Account(unit="tokens", entered=epochs * len(self.stream), left=left)

    @property
    def _order(self) -> SampleOrder:
        return SampleOrder(self.samples, self.seed)
