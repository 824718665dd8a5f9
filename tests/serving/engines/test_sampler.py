"""How tokens are chosen, against a plain reading of each rule."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.serving.engines.embedded.sampler import CANDIDATES, Chooser, choose, uniform
from loresmith.serving.engines.generation import Chosen, Sampling

SIZE = 2 * CANDIDATES


def logits(seed: int, spread: float = 3.0, size: int = SIZE) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * spread


def drawn(logits_V: torch.Tensor, times: int = 400, **rules: Any) -> np.ndarray:
    tokens = []
    for seed in range(times):
        chooser = Chooser(Sampling(seed=seed, **rules), np.empty(0, np.int64), ())
        (token,) = choose(logits_V[None], [chooser], [None])
        tokens.append(token.id)
    return np.asarray(tokens)


def left_by(probabilities: np.ndarray, top_k: int, top_p: float, min_p: float) -> set[int]:
    """The tokens that the rules leave, by their definitions."""
    order = np.argsort(-probabilities, kind="stable")
    if top_k:
        order = order[:top_k]
    before = np.concatenate([[0.0], np.cumsum(probabilities[order])[:-1]])
    order = order[before < top_p] if top_p < 1 else order
    return set(order[probabilities[order] >= min_p * probabilities.max()].tolist())


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 100),
    spread=st.sampled_from([0.05, 1.0, 4.0]),
    top_k=st.sampled_from([0, 1, 5, 700]),
    top_p=st.sampled_from([0.1, 0.6, 0.97, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.9]),
)
def test_only_what_the_rules_leave_is_drawn(seed: int, spread: float, top_k: int, top_p: float, min_p: float) -> None:
    logits_V = logits(seed, spread)
    probabilities = torch.softmax(logits_V.double(), -1).numpy()
    found = set(drawn(logits_V, 60, top_k=top_k, top_p=top_p, min_p=min_p).tolist())
    assert found <= left_by(probabilities, top_k, min(1.0, top_p + 1e-6), max(0.0, min_p - 1e-6))


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    logits_V = torch.log(torch.tensor([0.5, 0.25, 0.15, 0.1]))
    often = np.bincount(drawn(logits_V, 4000), minlength=4) / 4000
    np.testing.assert_allclose(often, [0.5, 0.25, 0.15, 0.1], atol=0.03)
    halved = np.bincount(drawn(logits_V, 4000, top_p=0.7), minlength=4) / 4000
    np.testing.assert_allclose(halved, [2 / 3, 1 / 3, 0, 0], atol=0.03)


def test_the_number_at_a_place_follows_from_seed_and_place_alone() -> None:
    assert uniform(7, 3) == uniform(7, 3)
    assert len({uniform(seed, place) for seed in (0, 1, 2**64 - 1) for place in range(50)}) == 150
    assert abs(np.mean([uniform(1, place) for place in range(2000)]) - 0.5) < 0.03


def test_a_mask_leaves_nothing_else_even_where_the_rest_is_likelier() -> None:
    mask_V = torch.zeros(SIZE, dtype=torch.bool)
    mask_V[[3, 9]] = True
    for temperature in (0.0, 5.0):
        chooser = Chooser(Sampling(temperature=temperature), np.empty(0, np.int64), (0,))
        assert choose(logits(1)[None], [chooser], [mask_V])[0].id in (3, 9)


def test_a_thousand_biases_are_added_at_once() -> None:
    biases = {token: 0.01 * token - 5 for token in range(0, SIZE, 2)[:1024]}
    logits_V = logits(2)
    raised_V = logits_V.clone()
    for token, bias in biases.items():
        raised_V[token] += bias
    rules = Sampling(logit_bias=biases, seed=5)
    chooser = Chooser(rules, np.empty(0, np.int64), ())
    plain = Chooser(Sampling(seed=5), np.empty(0, np.int64), ())
    assert choose(logits_V[None], [chooser], [None]) == choose(raised_V[None], [plain], [None])

    def seconds(chooser: Chooser) -> float:
        before = time.process_time()
        choose(logits_V[None], [chooser], [None])
        return time.process_time() - before

    assert min(seconds(chooser) for _ in range(30)) < 0.5e-3  # one by one they took milliseconds


def test_repetition_is_penalised_by_its_definition() -> None:
    logits_V = torch.tensor([2.0, 1.9, -1.0])
    chooser = Chooser(Sampling(temperature=0, repetition_penalty=1.2), np.asarray([0]), ())
    assert choose(logits_V[None], [chooser], [None])[0].id == 1
    chooser.note(1)
    assert choose(torch.tensor([[2.0, 2.1, 1.76]]), [chooser], [None])[0].id == 2


@pytest.mark.parametrize(
    ("presence", "frequency", "left"),
    [
        (0.5, 0.0, [2.5, 2.5, 3.0]),  # once, however often a token was said
        (0.0, 0.5, [1.5, 2.5, 3.0]),  # for each time
        (0.25, 0.5, [1.25, 2.25, 3.0]),
        (-0.5, -0.25, [4.25, 3.75, 3.0]),
    ],
)
def test_what_was_said_is_penalised_by_definition(presence: float, frequency: float, left: list[float]) -> None:
    """Tokens 0 and 1 stand three times and once in the answer, 2 in the prompt alone: it is penalised by neither."""
    rules = {"presence_penalty": presence, "frequency_penalty": frequency}
    for token, rest in enumerate(left):
        # The others are shut but for one more, to which a bias gives just less, or just more, than what is left.
        for bias, chosen in ((rest - 0.01, token), (rest + 0.01, 3)):
            shut = {other: -100.0 for other in range(3) if other != token}
            sampling = Sampling(temperature=0, logit_bias={**shut, 3: bias}, **rules)
            chooser = Chooser(sampling, np.asarray([2, 2]), ())
            for said in (0, 1, 0, 0):
                chooser.note(said)
            (told,) = choose(torch.tensor([[3.0, 3.0, 3.0, 0.0]]), [chooser], [None])
            assert told.id == chosen, (token, bias)


def test_scoring_tells_how_probable_each_choice_was_and_changes_none() -> None:
    """Beside requests that want no figures, or more of them: each gets what it asked for."""
    logits_SV = torch.stack([logits(seed) for seed in range(5)])
    mask_V = torch.ones(SIZE, dtype=torch.bool)
    mask_V[logits_SV[4].argmax()] = False

    def chosen(*wants: dict[str, Any]) -> list[Chosen]:
        rules = [{"seed": 3}, {"seed": 4, "top_p": 0.5}, {"temperature": 0}, {"seed": 5}, {"temperature": 0}]
        choosers = [
            Chooser(Sampling(**rule), np.empty(0, np.int64), (), **want)
            for rule, want in zip(rules, wants, strict=True)
        ]
        return choose(logits_SV, choosers, [None] * 4 + [mask_V])

    plain = chosen(*[{}] * 5)
    assert [token.log_probability for token in plain] == [None] * 5
    expected_SV = torch.log_softmax(logits_SV, -1)
    for wants in (
        [{"scored": True}] * 5,
        [{"scored": True}, {}, {"scored": True, "alternatives": 2}, {}, {"scored": True}],
    ):
        found = chosen(*wants)
        assert [token.id for token in found] == [token.id for token in plain]
        for row, (token, want) in enumerate(zip(found, wants, strict=True)):
            expected = pytest.approx(float(expected_SV[row, token.id]), abs=1e-5) if want else None
            assert token.log_probability == expected
            assert len(token.alternatives) == want.get("alternatives", 0)
