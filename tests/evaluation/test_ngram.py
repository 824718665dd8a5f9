"""The n-gram model is a probability distribution, agrees with the formula written out, and learns."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.evaluation.ngram import FALLBACK_DISCOUNTS, Ids, KneserNey

V = 11


def corpus(seed: int, documents: int = 30, length: int = 80) -> list[Ids]:
    """A noisy cycle through the vocabulary: each token suggests the next."""
    draw = np.random.default_rng(seed)
    steps = draw.choice([1, 2, 5], p=[0.8, 0.15, 0.05], size=(documents, length))
    return list((np.cumsum(steps, axis=1) + draw.integers(0, V, (documents, 1))) % (V - 1))  # V - 1 never occurs


@given(st.integers(1, 5), st.lists(st.integers(0, V - 1), max_size=7), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_probabilities_of_any_context_sum_to_one(order: int, context: list[int], seed: int) -> None:
    model = KneserNey.fit(corpus(seed), V, order)
    every_next = [np.array([*context, token]) for token in range(V)]
    probabilities = [math.exp(-nats[-1]) for nats in model.nats(every_next)]
    assert sum(probabilities) == pytest.approx(1.0, abs=1e-12)
    assert min(probabilities) > 0


@given(st.lists(st.lists(st.integers(0, 3), max_size=40), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_the_formula_written_out(documents: list[list[int]]) -> None:
    order, size = 3, 4
    model = KneserNey.fit([np.array(document, dtype=np.int64) for document in documents], size, order)
    plain = PlainKneserNey(documents, size, order)
    probe = [0, 1, 2, 3, 3, 0, 0, 1]
    (nats,) = model.nats([np.array(probe)])
    for position, token in enumerate(probe):
        assert math.exp(-nats[position]) == pytest.approx(plain.probability(probe[:position], token), rel=1e-9)


@given(
    st.integers(2, 5), st.lists(st.lists(st.integers(0, V - 1), max_size=7), min_size=1, max_size=4), st.integers(0, 3)
)
@settings(max_examples=60, deadline=None)
def test_what_follows_a_context_is_what_texts_are_scored_by(order: int, contexts: list[list[int]], seed: int) -> None:
    model = KneserNey.fit(corpus(seed), V, order)
    padded = np.array([[*[V] * (order - 1), *context][-(order - 1) :] for context in contexts])
    following = model.after(padded)
    assert following.shape == (len(contexts), V)
    for context, row in zip(contexts, following, strict=True):
        every_next = [np.array([*context, token]) for token in range(V)]
        assert row == pytest.approx([math.exp(-nats[-1]) for nats in model.nats(every_next)], rel=1e-9)


def test_text_like_the_training_text_costs_less_than_uniform_and_longer_orders_help() -> None:
    held_out = corpus(99)
    bits = {}
    for order in (1, 2, 5):
        model = KneserNey.fit(corpus(0), V, order)
        bits[order] = np.concatenate(model.nats(held_out)).mean() / math.log(2)
    assert bits[5] <= bits[2] * 1.05
    assert bits[2] < 0.5 * bits[1] < 0.5 * math.log2(V)


def test_documents_do_not_see_each_other() -> None:
    model = KneserNey.fit(corpus(0), V)
    first, second = corpus(5, documents=2)
    together = model.nats([first, second])
    assert np.array_equal(together[1], model.nats([second])[0])
    assert [len(nats) for nats in model.nats([first, np.array([], dtype=np.int64), second])] == [80, 0, 80]


def test_nothing_to_learn_from_leaves_the_uniform_distribution() -> None:
    (nats,) = KneserNey.fit([], V).nats([np.arange(V)])
    assert np.exp(-nats) == pytest.approx(1 / V)


class PlainKneserNey:
    """Chen & Goodman's equations with dictionaries, one n-gram at a time, with the fallback discounts where needed."""

    def __init__(self, documents: list[list[int]], vocabulary: int, order: int) -> None:
        self.vocabulary, self.order = vocabulary, order
        self.counts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order + 1)]
        for document in documents:
            padded = [vocabulary] * (order - 1) + document
            for end in range(order, len(padded) + 1):
                self.counts[order][tuple(padded[end - order : end])] += 1
        for n in range(order - 1, 0, -1):
            for longer in self.counts[n + 1]:
                self.counts[n][longer[1:]] += 1
        self.following: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for n in range(1, order + 1):
            for gram, count in self.counts[n].items():
                self.following[gram[:-1]].append(count)

    def discount(self, n: int, count: int) -> float:
        seen = Counter(self.counts[n].values())
        discounts = list(FALLBACK_DISCOUNTS)
        if all(seen[j] for j in (1, 2, 3, 4)):
            y = seen[1] / (seen[1] + 2 * seen[2])
            estimates = [j - (j + 1) * y * seen[j + 1] / seen[j] for j in (1, 2, 3)]
            discounts = estimates if min(estimates) > 0 else discounts
        return (0.0, *discounts)[min(count, 3)]

    def probability(self, context: list[int], token: int) -> float:
        padded = [self.vocabulary] * (self.order - 1) + context
        probability = 1 / self.vocabulary
        for n in range(1, self.order + 1):
            h = tuple(padded[len(padded) - n + 1 :])
            total = sum(self.following[h])
            if total:
                taken = sum(self.discount(n, count) for count in self.following[h])
                count = self.counts[n][*h, token]
                probability = (count - self.discount(n, count) + taken * probability) / total
        return probability
