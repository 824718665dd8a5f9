"""Fill-in-the-middle: pieces of documents learnt with their middle last.

Bavarian et al., Efficient Training of Language Models to Fill in the Middle (2022, https://arxiv.org/abs/2207.14255).
A piece is cut in three (see `loresmith.training.fim_cuts`), and its parts are laid out as
`loresmith.models.fill_in_the_middle` says. It is done to pieces as they lie in rows (context level, section 3.2), so
that no part is ever cut off. The loss is on all parts, sentinels included; the end-of-document token that ends the
middle is learnt after every piece, whether its document ends there or not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loresmith.data.encoding import Encoder
from loresmith.errors import UserError
from loresmith.models.fill_in_the_middle import Order, Sentinels
from loresmith.training.fim_cuts import Cuts
from loresmith.training.fim_settings import FimSettings
from loresmith.training.packed_rows import Piece
from loresmith.training.randomness import derived_seed
from loresmith.training.rows import Ids

EXTRA = 10
"""Positions more than a piece's tokens that it may take: three sentinels, the end of the document, and six for what
words take more that are cut. Of 4,283 pieces of Python source, at vocabularies of 1,024 and 4,096, 99.7 % need no more.
"""


class FillInTheMiddle:
    """Turns pieces round.

    Args:
        settings: how many, and where they are cut.
        tokenizer: directory of the tokenizer that made their tokens.
        seed: the run's; what becomes of a piece follows from it, the epoch and the piece's number.

    Raises:
        UserError: the tokenizer has no sentinels.
    """

    def __init__(self, settings: FimSettings, tokenizer: Path, seed: int) -> None:
        self.settings = settings
        encoder = Encoder.load(tokenizer)
        self._end = encoder.end_of_document
        self._cuts = Cuts(settings, encoder)
        self._sentinels = Sentinels.of(encoder.id_of, str(tokenizer))
        self._seed = seed

    def pieces(self, tokens: Sequence[int], sequence_length: int) -> list[Piece]:
        """The pieces of documents of so many tokens: whole documents where they fit, or parts of various lengths.

        Lengths are drawn evenly from half of what fits to all of it. If all were of one length, the place of the
        sentinels would tell how long the middle is, and a model would learn to count instead of to read.
        """
        most = min(sequence_length - EXTRA, self.settings.longest_piece or sequence_length)
        if most < 1:
            raise UserError(f"rows of {sequence_length} tokens are too short: {EXTRA} are kept free in each")
        return [
            Piece(document, start, size, size + EXTRA)
            for document, length in enumerate(tokens)
            for start, size in self._lengths(document, length, most)
        ]

    def _lengths(self, document: int, length: int, most: int) -> Iterator[tuple[int, int]]:
        draw = random.Random(derived_seed(self._seed, "fim-pieces", document))
        start = 0
        while start < length:
            size = length if length <= most else min(length - start, draw.randint((most + 1) // 2, most))
            yield start, size
            start += size

    def turned(self, ids: Ids, number: int, epoch: int) -> tuple[Ids, NDArray[np.float32]] | None:
        """What a model should say of a piece, in the order in which it should say it.

        Args:
            ids: (n,) the piece's tokens, with the end-of-document token where its document ends there.
            number: of the piece.
            epoch: counted from 0.

        Returns:
            Of n + EXTRA ids at most, the end-of-document token last, and how much each counts; None for a piece that
            stays as it is.
        """
        draw = random.Random(derived_seed(self._seed, "fim", epoch, number))
        if draw.random() >= self.settings.rate:
            return None
        order: Order = "spm" if draw.random() < self.settings.spm_share else "psm"
        own = ids[:-1] if len(ids) and ids[-1] == self._end else ids
        parts = self._cuts.parts(own, len(ids) + EXTRA - 4, draw)
        if parts is None:
            return None
        prefix, middle, suffix = parts
        targets = np.array([*self._sentinels.prompt(order, prefix, suffix), *middle, self._end], dtype=np.int64)
        weights = np.ones(len(targets), dtype=np.float32)
        weights[-len(middle) - 1 :] = self.settings.middle_weight
        return targets, weights
