"""Choosing the next token of many requests at once, each by its own rules.

A request's randomness is a number of its own for each place of its answer: the first double of Philox4x64 (Salmon et
al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011) under the request's seed at that place. Its rows of numbers are
worked on by themselves. So what a request draws depends on nothing but its own logits, rules and seed.

Legend: S requests, V vocabulary, C candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loresmith.serving.engines.generation import Chosen, Sampling

CANDIDATES = 512
"""`top_k` and `top_p` are looked for among so many of the likeliest tokens before all of them are sorted."""

_SHUT = float("-inf")


@dataclass
class Chooser:
    """What choosing needs to know of one request.

    Attributes:
        prompt: its token ids.
        ends: token ids that end the answer.
        alternatives, scored: as in `Generation`.
        counts: how often each token stands in the answer.
        written: tokens of the answer.
        biased: the tokens of `logit_bias`, and the bias of each.
    """

    sampling: Sampling
    prompt: NDArray[np.int64]
    ends: tuple[int, ...]
    min_new_tokens: int = 0
    alternatives: int | None = None
    scored: bool = False
    counts: dict[int, int] = field(default_factory=dict)
    written: int = 0
    biased: tuple[Tensor, Tensor] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if biases := self.sampling.logit_bias:
            self.biased = torch.tensor(list(biases)), torch.tensor(list(biases.values()), dtype=torch.float32)

    def takes(self, likeliest: int) -> bool:
        """Whether the likeliest token is the choice."""
        rules = self.sampling
        if rules.temperature or rules.logit_bias or rules.presence_penalty or rules.frequency_penalty:
            return False
        too_early = self.written < self.min_new_tokens and likeliest in self.ends
        return rules.repetition_penalty == 1 and not too_early

    def note(self, token: int) -> None:
        """Remember a token of the answer."""
        self.counts[token] = self.counts.get(token, 0) + 1
        self.written += 1


def choose(logits_SV: Tensor, choosers: Sequence[Chooser], masks: Sequence[Tensor | None]) -> list[Chosen]:
    """The next token of each request.

    Args:
        logits_SV: as the model gives them.
        masks: bool (V,) of the tokens that a request's constraint allows; None allows all.

    Returns:
        A token for each row. Which it is is not noted: see `Chooser.note`.
    """
    logits_SV = logits_SV.float()
    likeliest = logits_SV.argmax(-1).tolist()
    tokens = []
    for row, (chooser, mask_V) in enumerate(zip(choosers, masks, strict=True)):
        if mask_V is None and chooser.takes(likeliest[row]):
            tokens.append(likeliest[row])
            continue
        adjusted_V = _adjusted(logits_SV[row], chooser, mask_V)
        tokens.append(_drawn(adjusted_V, chooser))
    return [
        _told(logits_SV[row], token, chooser) for row, (token, chooser) in enumerate(zip(tokens, choosers, strict=True))
    ]


def uniform(seed: int, place: int) -> float:
    """The number in [0, 1) that decides at this place of an answer."""
    return float(np.random.Generator(np.random.Philox(key=seed, counter=place << 64)).random())


def _adjusted(logits_V: Tensor, chooser: Chooser, mask_V: Tensor | None) -> Tensor:
    rules = chooser.sampling
    logits_V = logits_V.clone()
    if rules.repetition_penalty != 1:
        met = np.union1d(chooser.prompt, np.fromiter(chooser.counts, np.int64, len(chooser.counts)))
        at = torch.from_numpy(met).to(logits_V.device)
        found = logits_V[at]
        logits_V[at] = torch.where(found > 0, found / rules.repetition_penalty, found * rules.repetition_penalty)
    if chooser.counts and (rules.presence_penalty or rules.frequency_penalty):
        at = torch.tensor(list(chooser.counts), device=logits_V.device)
        often = torch.tensor(list(chooser.counts.values()), dtype=torch.float32, device=logits_V.device)
        logits_V[at] -= rules.presence_penalty + rules.frequency_penalty * often
    if chooser.biased is not None:
        tokens, biases = chooser.biased
        logits_V[tokens.to(logits_V.device)] += biases.to(logits_V.device)
    if mask_V is not None:
        logits_V.masked_fill_(~mask_V, _SHUT)
    elif chooser.written < chooser.min_new_tokens and chooser.ends:
        logits_V[list(chooser.ends)] = _SHUT
    return logits_V


def _drawn(logits_V: Tensor, chooser: Chooser) -> int:
    rules = chooser.sampling
    if rules.temperature == 0:
        return int(logits_V.argmax())
    probabilities_V = torch.softmax(logits_V / rules.temperature, -1)
    number = uniform(rules.seed, chooser.written)
    if rules.top_p == 1 and rules.top_k == 0 and rules.min_p == 0:
        return _at(probabilities_V, number)
    probabilities_C, tokens_C = _candidates(probabilities_V, rules)
    return int(tokens_C[_at(probabilities_C, number)])


def _candidates(probabilities_V: Tensor, rules: Sampling) -> tuple[Tensor, Tensor]:
    """The tokens that are left, the likeliest first, and their probabilities, which need not sum to one."""
    size = len(probabilities_V)
    first = min(size, max(CANDIDATES, rules.top_k))
    probabilities_C, tokens_C = probabilities_V.topk(first)
    enough = rules.top_k or float(probabilities_C.double().sum()) >= rules.top_p
    if not enough and first < size and float(probabilities_C[-1]) >= rules.min_p * float(probabilities_C[0]):
        probabilities_C, tokens_C = probabilities_V.sort(descending=True, stable=True)
    kept = rules.top_k or len(probabilities_C)
    if rules.top_p < 1:
        before_C = probabilities_C.double().cumsum(0) - probabilities_C
        kept = min(kept, int((before_C < rules.top_p).sum()))  # the token that crosses top_p still counts
    kept = min(kept, int((probabilities_C >= rules.min_p * probabilities_C[0]).sum()))
    return probabilities_C[: max(1, kept)], tokens_C[: max(1, kept)]


def _at(probabilities_C: Tensor, number: float) -> int:
    """Where a number falls when the probabilities are laid end to end over [0, 1)."""
    ends_C = probabilities_C.double().cumsum(0)
    found = int(torch.searchsorted(ends_C, number * ends_C[-1], right=True))
    return min(found, int(probabilities_C.nonzero()[-1]))


def _told(logits_V: Tensor, token: int, chooser: Chooser) -> Chosen:
    """A choice, with as much of how probable it was as its request wants."""
    if chooser.alternatives is None and not chooser.scored:
        return Chosen(id=token)
    log_probabilities_V = torch.log_softmax(logits_V, -1)
    if not chooser.alternatives:
        return Chosen(id=token, log_probability=float(log_probabilities_V[token]))
    values, tokens = log_probabilities_V.topk(min(chooser.alternatives, len(logits_V)))
    return Chosen(
        id=token,
        log_probability=float(log_probabilities_V[token]),
        alternatives=tuple(zip(tokens.tolist(), values.tolist(), strict=True)),
    )
