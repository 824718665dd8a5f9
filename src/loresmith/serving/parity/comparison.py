"""An engine's answers held against the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from loresmith.serving.parity.asking import NEW_TOKENS, Answered, EngineAnswer
from loresmith.serving.parity.prompts import ParityPrompt
from loresmith.serving.parity.reference import Reference
from loresmith.serving.parity.tolerance import TOLERANCES, Tolerance

FEWEST_TOKENS = 64
"""Over all prompts; fewer show nothing."""

_SHOWN = 20
"""Disagreements that a receipt lists; it counts all."""


@dataclass(frozen=True)
class Disagreement:
    """A token for which the reference would have chosen another one."""

    prompt: str
    position: int
    token: int
    reference_token: int
    margin: float

    def described(self) -> dict[str, Any]:
        return {**vars(self), "margin": _finite(self.margin)}


@dataclass
class Comparison:
    """What came of it, for the model alone or with one of its adapters.

    Attributes:
        differences: of the log-probabilities of each token, in nats.
        wrong: what is wrong of an answer beside its numbers, in words.
        batch_invariant: whether the answers were the same to the bit, alone and beside others.
    """

    tolerance: Tolerance
    differences: list[float] = field(default_factory=list)
    disagreements: list[Disagreement] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    batch_invariant: bool = True

    @property
    def tokens(self) -> int:
        return len(self.differences)

    @property
    def largest(self) -> float:
        # max() of a NaN depends on the order
        return math.nan if any(map(math.isnan, self.differences)) else max(self.differences, default=math.nan)

    @property
    def mean(self) -> float:
        return sum(self.differences) / self.tokens if self.tokens else math.nan

    @property
    def agreement(self) -> float:
        return 1 - len(self.disagreements) / self.tokens if self.tokens else 0.0

    def because(self) -> list[str]:
        """Why it does not pass; [] where it does."""
        allowed, said = self.tolerance, list(self.wrong)
        if self.tokens < FEWEST_TOKENS:
            said.append(f"there are {self.tokens} tokens to compare, and {FEWEST_TOKENS} are needed")
        if self.tokens and not self.largest <= allowed.largest:
            said.append(f"a log-probability differs by {self.largest:.3g}, and {allowed.largest:g} is allowed")
        if self.tokens and not self.mean <= allowed.mean:
            said.append(f"log-probabilities differ by {self.mean:.3g} on average, and {allowed.mean:g} is allowed")
        if self.tokens and self.agreement < allowed.agreement:
            said.append(
                f"the reference chooses {self.agreement:.1%} of the tokens too, and {allowed.agreement:.0%} are needed"
            )
        far = [one for one in self.disagreements if not one.margin <= allowed.largest]
        if far:
            said.append(
                f"the reference prefers another token by more than {allowed.largest:g} in {len(far)} places, first in "
                f"the answer to {far[0].prompt!r}"
            )
        return said

    def described(self) -> dict[str, Any]:
        """The numbers, for a receipt."""
        return {
            "tokens": self.tokens,
            "largest_difference": _finite(self.largest),
            "mean_difference": _finite(self.mean),
            "agreement": self.agreement,
            "disagreements": len(self.disagreements),
            "first_disagreements": [one.described() for one in self.disagreements[:_SHOWN]],
            "batch_invariant": self.batch_invariant,
            "tolerance": vars(self.tolerance),
        }


def compare(
    answered: Answered, reference: Reference, adapter: str | None, say: Callable[[str], None] = lambda _: None
) -> Comparison:
    """Hold what an engine answered with an adapter (None: without one) against the reference with the same."""
    comparison = Comparison(TOLERANCES[answered.facts.precision])
    for number, prompt in enumerate(answered.prompts, 1):
        say(f"comparing with the reference: {number} of {len(answered.prompts)}")
        _compare_one(comparison, reference, prompt, answered.together[adapter, prompt.name], answered.facts.window)
        again = answered.alone.get((adapter, prompt.name))
        if again is not None and again.tokens != answered.together[adapter, prompt.name].tokens:
            comparison.batch_invariant = False
            # Alone, an engine may take other code: that is held against the reference too.
            _compare_one(comparison, reference, prompt, again, answered.facts.window)
    return comparison


def _compare_one(
    comparison: Comparison, reference: Reference, prompt: ParityPrompt, answer: EngineAnswer, window: int
) -> None:
    name, ids = prompt.name, [token.id for token in answer.tokens]
    if answer.error is not None or answer.finished is None:
        comparison.wrong.append(f"there is no answer to {name!r}: {answer.error or 'the engine did not finish it'}")
        return
    expected_NV = reference.log_probabilities(prompt.ids, ids)
    for place, (token, expected_V) in enumerate(zip(answer.tokens, expected_NV[:-1], strict=True)):
        own = float(expected_V[token.id])
        told = math.nan if token.log_probability is None else token.log_probability
        comparison.differences.append(abs(told - own))
        best = int(expected_V.argmax())
        if best != token.id:
            comparison.disagreements.append(Disagreement(name, place, token.id, best, float(expected_V[best]) - own))
    if any(token.log_probability is None for token in answer.tokens):
        comparison.wrong.append(f"the answer to {name!r} comes without log-probabilities")
    comparison.wrong += _ending(
        comparison.tolerance, reference.ends, prompt, ids, answer.finished, expected_NV[-1], window
    )


def _ending(
    tolerance: Tolerance,
    ends: frozenset[int],
    prompt: ParityPrompt,
    ids: Sequence[int],
    finished: str,
    next_V: Any,
    window: int,
) -> list[str]:
    """What is wrong with where an answer ends."""
    if any(id_ in ends for id_ in ids[:-1]):
        return [f"the answer to {prompt.name!r} goes on behind the token that ends it"]
    full = len(ids) >= min(NEW_TOKENS, window - len(prompt.ids))
    ended = bool(ids) and ids[-1] in ends
    if full or ended:
        return []
    if finished != "stop":
        return [f"the answer to {prompt.name!r} is cut short"]
    margin = float(next_V.max()) - max((float(next_V[end]) for end in ends), default=-math.inf)
    if not margin <= tolerance.largest:
        return [f"the answer to {prompt.name!r} ends where the reference goes on"]
    return []


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
