"""Bits per byte: how many bits a model needs, on average, to say one byte of text. The only implementation.

Training's held-out number and `evaluate` both come from here, so that what is measured is what ships.

For one document the model is given the end-of-document token that precedes it and then predicts the document's own
tokens, each exactly once; the negative log-likelihoods add up to the document's nats, and

    bits per byte = sum of nats / (ln 2 * sum of UTF-8 bytes)

over documents, a ratio of sums. Every byte of a scored document is in the denominator. Whether the end-of-document
token after the text is predicted too is the caller's choice: it is, if `ids` contains it. Unlike perplexity the number
does not depend on the tokenizer, and it can be held against a compressor's.

A document longer than the window is read in overlapping windows. The first predicts all its positions; each later one
ends `stride` predictions further and predicts only those, so that every prediction beyond the first window sees at
least `window - stride + 1` tokens of its own document, and never anything of another.

Legend: B windows in a batch, T positions, D width, V vocabulary, R predictions that count in a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from loresmith.evaluation.scores import DocumentScore, bits_per_byte, bits_per_byte_interval

__all__ = [
    "DocumentScore",
    "Span",
    "TokenDocument",
    "bits_per_byte",
    "bits_per_byte_interval",
    "score_documents",
    "spans",
]

LOGITS_AT_MOST = 2**22
"""Logits held at once: 16 MiB in fp32, which stay in a processor's last-level cache."""

BATCHES_SORTED_TOGETHER = 32
"""Windows are sorted by length within this many batches' worth of tokens, so that little is computed on padding."""


@dataclass(frozen=True)
class TokenDocument:
    """A document to be scored.

    Attributes:
        key: its id.
        group: what its score is reported under, such as a source or a language.
        ids: (n + 1,) token ids: one of context, the end-of-document token before it, then the n that are predicted.
        bytes: UTF-8 length of its text.
    """

    key: str
    group: str
    ids: NDArray[np.integer[Any]] | Sequence[int]
    bytes: int


@dataclass(frozen=True)
class Span:
    """One window over a document: inputs ids[start:end] predict ids[start+1:end+1]; those from `counted` on count."""

    start: int
    end: int
    counted: int


def spans(predictions: int, window: int, stride: int) -> Iterator[Span]:
    """The windows over a document of `predictions` predictions; each is counted in exactly one of them."""
    done = 0
    while done < predictions:
        end = min(predictions, done + (stride if done else window))
        yield Span(max(0, end - window), end, done)
        done = end


def score_documents(
    model: nn.Module,
    documents: Iterable[TokenDocument],
    *,
    window: int,
    stride: int | None = None,
    batch_tokens: int = 8192,
    device: torch.device | str = "cpu",
    on_batch: Callable[[int], None] | None = None,
) -> list[DocumentScore]:
    """Score documents with a causal language model, in the precision of its weights; probabilities are fp32.

    Args:
        model: a transformers causal LM, or any module whose call on ids (B, T) returns `.logits` (B, T, V). It must be
            causal: windows are padded on the right, and nothing masks the padding. Left in its train or eval mode.
        documents: read once, held only until scored.
        window: positions that the model sees at most.
        stride: predictions by which later windows advance (half a window by default).
        batch_tokens: positions in a batch (B * T), padding included.
        device: where the model's weights lie.
        on_batch: called after each batch with the number of predictions counted so far; it may raise to stop.

    Returns:
        One score a document, in the order of `documents`. The same call on the same machine with the same threads
        gives the same bits.
    """
    stride = max(1, window // 2) if stride is None else stride
    if not 1 <= stride <= window:
        raise ValueError(f"stride {stride} is not between 1 and the window, {window}")
    was_training = model.training
    model.eval()
    scorer = _Scorer(model, torch.device(device), batch_tokens, on_batch)
    try:
        return [score for pool in _pools(documents, window, stride, batch_tokens) for score in scorer.score(pool)]
    finally:
        model.train(was_training)


@dataclass(frozen=True)
class _Window:
    document: int  # position in the pool
    ids: NDArray[np.int64]  # inputs and, one further, the last target
    skipped: int  # predictions at the front that another window counts

    @property
    def positions(self) -> int:
        return len(self.ids) - 1


@dataclass(frozen=True)
class _Pool:
    documents: list[TokenDocument]
    windows: list[_Window]


def _pools(documents: Iterable[TokenDocument], window: int, stride: int, batch_tokens: int) -> Iterator[_Pool]:
    """Documents with their windows, by the batchful; a document is never split over two pools."""
    pool, positions = _Pool([], []), 0
    for document in documents:
        ids = np.asarray(document.ids, dtype=np.int64)
        if not len(ids):
            raise ValueError(f"document {document.key!r} lacks the token of context before it")
        for span in spans(len(ids) - 1, window, stride):
            cut = _Window(len(pool.documents), ids[span.start : span.end + 1], span.counted - span.start)
            pool.windows.append(cut)
            positions += cut.positions
        pool.documents.append(document)
        if positions >= BATCHES_SORTED_TOGETHER * batch_tokens:
            yield pool
            pool, positions = _Pool([], []), 0
    if pool.documents:
        yield pool


class _Scorer:
    def __init__(
        self, model: nn.Module, device: torch.device, batch_tokens: int, on_batch: Callable[[int], None] | None
    ) -> None:
        self._model = model
        self._device = device
        self._batch_tokens = batch_tokens
        self._on_batch = on_batch
        self._counted = 0
        self._split: tuple[nn.Module, nn.Linear] | None = None
        self._inspected = False

    def score(self, pool: _Pool) -> list[DocumentScore]:
        nats = np.zeros(len(pool.documents))
        tokens = np.zeros(len(pool.documents), dtype=np.int64)
        for batch in self._batches(pool.windows):
            nats_R = self._batch_nats(batch)
            owners_R = np.repeat([w.document for w in batch], [w.positions - w.skipped for w in batch])
            nats += np.bincount(owners_R, weights=nats_R, minlength=len(nats))
            tokens += np.bincount(owners_R, minlength=len(nats))
            self._counted += len(nats_R)
            if self._on_batch is not None:
                self._on_batch(self._counted)
        return [
            DocumentScore(document.key, document.group, document.bytes, int(count), float(total))
            for document, count, total in zip(pool.documents, tokens, nats, strict=True)
        ]

    def _batches(self, windows: list[_Window]) -> Iterator[list[_Window]]:
        batch: list[_Window] = []
        for window in sorted(windows, key=lambda window: -window.positions):  # the first is the longest of its batch
            if batch and batch[0].positions * (len(batch) + 1) > self._batch_tokens:
                yield batch
                batch = []
            batch.append(window)
        if batch:
            yield batch

    @torch.inference_mode()
    def _batch_nats(self, batch: list[_Window]) -> NDArray[np.float64]:
        """(R,) nats of the predictions that count, window by window."""
        longest = batch[0].positions
        ids_BT = np.zeros((len(batch), longest), dtype=np.int64)
        counted_BT = np.zeros((len(batch), longest), dtype=bool)
        for row, window in enumerate(batch):
            ids_BT[row, : window.positions] = window.ids[:-1]
            counted_BT[row, window.skipped : window.positions] = True
        targets_R = torch.from_numpy(np.concatenate([w.ids[1 + w.skipped :] for w in batch])).to(self._device)
        counts_BT = torch.from_numpy(counted_BT).to(self._device)
        inputs_BT = torch.from_numpy(ids_BT).to(self._device)
        if not self._inspected:
            self._split, self._inspected = _separate_head(self._model, inputs_BT[:1, :8]), True
        if self._split is None:
            nats_R = self._from_logits(inputs_BT, counts_BT, targets_R)
        else:
            backbone, head = self._split
            hidden_RD = backbone(inputs_BT, use_cache=False).last_hidden_state[counts_BT]
            nats_R = _chunked_nats(hidden_RD, head, targets_R)
        return cast(NDArray[np.float64], nats_R.double().cpu().numpy())

    def _from_logits(self, inputs_BT: Tensor, counts_BT: Tensor, targets_R: Tensor) -> Tensor:
        """As `_chunked_nats`, from the model's own logits, one window at a time so that few are held."""
        pieces, done = [], 0
        for ids_T, counts_T in zip(inputs_BT, counts_BT, strict=True):
            logits_rV = self._model(ids_T[None]).logits[0, counts_T]
            targets_r = targets_R[done : done + len(logits_rV)]
            pieces.append(nn.functional.cross_entropy(logits_rV.float(), targets_r, reduction="none"))
            done += len(logits_rV)
        return torch.cat(pieces)


def _chunked_nats(hidden_RD: Tensor, head: nn.Linear, targets_R: Tensor) -> Tensor:
    """(R,) negative log-likelihoods, with the logits of no more than `LOGITS_AT_MOST` values held at a time."""
    rows = max(1, LOGITS_AT_MOST // head.out_features)
    pieces = [
        nn.functional.cross_entropy(
            head(hidden_RD[start : start + rows]).float(), targets_R[start : start + rows], reduction="none"
        )
        for start in range(0, len(hidden_RD), rows)
    ]
    return torch.cat(pieces)


def _separate_head(model: nn.Module, ids_BT: Tensor) -> tuple[nn.Module, nn.Linear] | None:
    """The backbone and the output embedding, if applying one after the other is exactly what the model does.

    Some families scale, cap or bias the logits after the head (Gemma, Granite, Cohere). They are told apart by trying:
    the two ways must agree to the bit on a few tokens, otherwise the model's own logits are used.
    """
    backbone = getattr(model, "base_model", None)
    head_of = getattr(model, "get_output_embeddings", None)
    head = head_of() if callable(head_of) else None
    if not isinstance(backbone, nn.Module) or backbone is model or not isinstance(head, nn.Linear):
        return None
    hidden_BTD = getattr(backbone(ids_BT, use_cache=False), "last_hidden_state", None)
    if hidden_BTD is None or hidden_BTD.dtype != head.weight.dtype:  # Mamba keeps its stream in fp32
        return None
    if not torch.equal(head(hidden_BTD), model(ids_BT, use_cache=False).logits):
        return None
    return backbone, head
