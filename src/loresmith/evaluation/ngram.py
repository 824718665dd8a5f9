"""An n-gram language model with interpolated modified Kneser-Ney smoothing: the baseline that must be beaten.

Chen & Goodman, An Empirical Study of Smoothing Techniques for Language Modeling (Computer Speech & Language 13, 1999),
section 3, equation 21: with h a context, h' the same without its oldest token, and c the counts of this order,

    p(w | h) = (c(h w) - D(c(h w))) / c(h) + gamma(h) p(w | h')
    gamma(h) = (D1 N1(h) + D2 N2(h) + D3 N3+(h)) / c(h)

c counts occurrences for the longest n-grams and, for shorter ones, the different tokens they were seen to follow. The
recursion ends in the uniform distribution over the vocabulary, so that every token has a probability and the
probabilities of a context sum to one. A context that was never seen leaves everything to the shorter one.

Counts are sorted arrays: an n-gram is the number of its context (the n-1 tokens before, numbered the same way) times
the vocabulary plus its last token. A document's text begins after `order - 1` begin symbols, which are context only and
never predicted; nothing is counted or predicted across documents.

Legend: N positions of all documents with their begin symbols, G different n-grams of one order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Ids = NDArray[np.integer[Any]]

UNSEEN = -1
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""For an order whose counts of counts give no usable estimates, as in very small or very regular corpora."""


@dataclass(frozen=True)
class _Order:
    """The n-grams of one length."""

    keys: Integers  # (G,) sorted: context * (vocabulary + 1) + last token
    discounted: Floats  # (G,) c - D(c)
    totals: Floats  # c(h) for each context, zero where nothing follows it
    left_over: Floats  # gamma(h) for each context, one where nothing follows it


class KneserNey:
    """See the module. Made by `fit`."""

    def __init__(self, vocabulary_size: int, orders: Sequence[_Order]) -> None:
        self.vocabulary_size = vocabulary_size
        self._orders = tuple(orders)

    @property
    def order(self) -> int:
        return len(self._orders)

    @classmethod
    def fit(
        cls,
        documents: Iterable[Ids],
        vocabulary_size: int,
        order: int = 5,
        between: Callable[[], None] = lambda: None,
    ) -> KneserNey:
        """Count the documents.

        Args:
            documents: token ids of each, all below `vocabulary_size`.
            vocabulary_size: V; the probabilities are over ids 0 .. V - 1.
            order: the longest n-gram, 1 or more.
            between: called between one order and the next; it may raise to stop.

        All counts are held in memory at once.
        """
        base = vocabulary_size + 1
        stream_N, text = _padded(documents, vocabulary_size, order)
        numbers, keys = _number_ngrams(stream_N, base, order, between)
        orders: list[_Order] = []
        counts_G = np.bincount(numbers[-1][text], minlength=len(keys[-1]))
        for n in range(order, 0, -1):
            contexts = len(keys[n - 2]) if n > 1 else 1
            orders.insert(0, _smooth(keys[n - 1], counts_G, base, contexts))
            if n > 1:
                counts_G = _continuations(numbers[n - 1], numbers[n - 2], text, len(keys[n - 1]), len(keys[n - 2]))
        return cls(vocabulary_size, orders)

    def nats(self, documents: Sequence[Ids]) -> list[Floats]:
        """Minus the natural logarithm of each token's probability, for each document: arrays as long as the ids."""
        stream_N, text = _padded(documents, self.vocabulary_size, self.order)
        base = self.vocabulary_size + 1
        probability_N = np.full(len(stream_N), 1.0 / self.vocabulary_size)
        numbers_N = np.zeros(len(stream_N), dtype=np.int64)
        for order in self._orders:
            context_N = _shifted(numbers_N, UNSEEN) if order is not self._orders[0] else numbers_N
            numbers_N = _find(order.keys, context_N, stream_N, base)
            seen = context_N != UNSEEN
            seen[seen] = order.totals[context_N[seen]] > 0
            context = context_N[seen]
            found = numbers_N[seen]
            discounted = np.where(found == UNSEEN, 0.0, order.discounted[found])
            probability_N[seen] = discounted / order.totals[context] + order.left_over[context] * probability_N[seen]
        nats = -np.log(probability_N[text])
        return np.split(nats, np.cumsum([len(document) for document in documents])[:-1])

    def after(self, contexts_CN: Integers) -> Floats:
        """The probabilities (C, V) of the token that follows each context.

        Args:
            contexts_CN: the N = order - 1 tokens before, V standing for the begin symbol where there are fewer.
        """
        count, base = len(contexts_CN), self.vocabulary_size + 1
        probability_CV = np.full((count, self.vocabulary_size), 1.0 / self.vocabulary_size)
        context_C = np.zeros(count, dtype=np.int64)
        numbers_CN = np.zeros_like(contexts_CN)
        for order in self._orders:
            seen = np.flatnonzero(context_C != UNSEEN)
            seen = seen[order.totals[context_C[seen]] > 0]
            low = np.searchsorted(order.keys, context_C[seen] * base)
            sizes = np.searchsorted(order.keys, (context_C[seen] + 1) * base) - low
            found = np.repeat(low - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
            rows, tokens = np.repeat(seen, sizes), order.keys[found] % base
            shares = order.discounted[found] / order.totals[context_C[rows]]
            probability_CV[seen] *= order.left_over[context_C[seen], None]
            said = tokens < self.vocabulary_size  # a begin symbol is never said
            probability_CV[rows[said], tokens[said]] += shares[said]
            if order is not self._orders[-1]:
                if order is not self._orders[0]:
                    numbers_CN[:, 1:] = numbers_CN[:, :-1].copy()  # what is first then leads to no longer n-gram
                numbers_CN = _find(order.keys, numbers_CN.ravel(), contexts_CN.ravel(), base).reshape(numbers_CN.shape)
                context_C = numbers_CN[:, -1]
        return probability_CV


def _padded(documents: Iterable[Ids], vocabulary_size: int, order: int) -> tuple[Integers, Integers]:
    """All documents, each after `order - 1` begin symbols (id V), and the positions of their own tokens."""
    begin = np.full(order - 1, vocabulary_size, dtype=np.int64)
    pieces: list[Integers] = []
    positions: list[Integers] = []
    length = 0
    for document in documents:
        pieces += [begin, np.asarray(document, dtype=np.int64)]
        positions.append(np.arange(length + len(begin), length + len(begin) + len(document)))
        length += len(begin) + len(document)
    if not pieces:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    return np.concatenate(pieces), np.concatenate(positions)


def _shifted(numbers_N: Integers, first: int) -> Integers:
    """What stood at the position before; the first position is a begin symbol, where nothing is counted."""
    shifted_N = np.empty_like(numbers_N)
    shifted_N[1:] = numbers_N[:-1]
    shifted_N[:1] = first
    return shifted_N


def _number_ngrams(
    stream_N: Integers, base: int, order: int, between: Callable[[], None]
) -> tuple[list[Integers], list[Integers]]:
    """For n = 1 .. order: the number of the n-gram that ends at each position, and the sorted keys of those numbers."""
    numbers: list[Integers] = []
    keys: list[Integers] = []
    context_N = np.zeros(len(stream_N), dtype=np.int64)
    for _ in range(order):
        between()
        keys_G, numbers_N = np.unique(context_N * base + stream_N, return_inverse=True)
        keys.append(keys_G)
        numbers.append(numbers_N)
        context_N = _shifted(numbers_N, 0)
    return numbers, keys


def _continuations(longer_N: Integers, shorter_N: Integers, text: Integers, longer: int, shorter: int) -> Integers:
    """How many different longer n-grams of the text end in each shorter one."""
    somewhere = np.full(longer, UNSEEN, dtype=np.int64)
    somewhere[longer_N[text]] = text
    return np.bincount(shorter_N[somewhere[somewhere != UNSEEN]], minlength=shorter)


def _smooth(keys_G: Integers, counts_G: Integers, base: int, contexts: int) -> _Order:
    discounts = np.array([0.0, *_discounts(counts_G)])
    discounts_G = discounts[np.minimum(counts_G, 3)]
    context_G = keys_G // base
    totals = np.bincount(context_G, weights=counts_G, minlength=contexts).astype(np.float64)
    taken = np.bincount(context_G, weights=discounts_G, minlength=contexts)
    left_over = np.divide(taken, totals, out=np.ones(contexts), where=totals > 0)
    return _Order(keys_G, counts_G - discounts_G, totals, left_over)


def _discounts(counts_G: Integers) -> tuple[float, ...]:
    """D1, D2 and D3+ from the counts of counts (Chen & Goodman, equation 26); each above zero, so that no token is
    ever impossible, and at most the count it is taken from."""
    n = np.bincount(counts_G[(counts_G >= 1) & (counts_G <= 4)], minlength=5)
    if not n[1:].all():
        return FALLBACK_DISCOUNTS
    y = n[1] / (n[1] + 2 * n[2])
    estimates = tuple(float(j - (j + 1) * y * n[j + 1] / n[j]) for j in (1, 2, 3))
    return estimates if min(estimates) > 0 else FALLBACK_DISCOUNTS


def _find(keys_G: Integers, context_N: Integers, stream_N: Integers, base: int) -> Integers:
    """The numbers of n-grams given by the number of their context and their last token; UNSEEN where there is none."""
    if not len(keys_G):
        return np.full(len(stream_N), UNSEEN, dtype=np.int64)
    wanted_N = context_N * base + stream_N
    place_N = np.minimum(np.searchsorted(keys_G, wanted_N), len(keys_G) - 1)
    return np.where((context_N != UNSEEN) & (keys_G[place_N] == wanted_N), place_N, UNSEEN)
