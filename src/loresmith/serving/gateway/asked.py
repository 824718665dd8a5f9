"""What is asked for, whichever route it came by, and what is said to it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from loresmith.serving.engines.generation import Chosen, Constraint, Sampling

Finish = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True)
class Asked:
    """One request for an answer.

    Attributes:
        route: by which it came.
        model: the name that was given.
        messages: the conversation in OpenAI's form; None for a text to go on from.
        prompt: that text, or its token ids.
        tools: functions that the assistant may call, in OpenAI's form.
        call: which of them it has to call: `any` for one of them, None if it need not.
        one_call: whether one call is all there may be.
        max_tokens: of the answer; None where the request does not say.
        seeded: whether the request names the seed.
        choices: answers that are asked for.
        alternatives: as in `Generation`.
        consent: whether the conversation may be learnt from.
    """

    route: str
    model: str
    messages: tuple[Mapping[str, Any], ...] | None
    prompt: str | Sequence[int] = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    call: str | None = None
    one_call: bool = False
    max_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    seeded: bool = False
    choices: int = 1
    stop: tuple[str, ...] = ()
    constraint: Constraint | None = None
    schema: Mapping[str, Any] | None = None
    alternatives: int | None = None
    stream: bool = False
    consent: bool = False


@dataclass(frozen=True)
class ToolCall:
    """A call of a function, whole."""

    id: str
    name: str
    arguments: str


@dataclass
class Piece:
    """What is said next.

    Attributes:
        choice: of which of the answers, by its index.
        text: of the answer, as it may go out.
        calls: calls that are complete.
        tokens: that were written, with their log-probabilities where those were asked for.
        refusal: the stated policy by which a guard stopped the answer.
    """

    choice: int = 0
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    tokens: tuple[Chosen, ...] = ()
    refusal: str | None = None


@dataclass
class Usage:
    """Tokens: of the prompt, once however many answers it has; of all answers; of the prompt's, those in the cache."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0


ANY_SEED_BITS = 63


def sampling_of(given: Mapping[str, Any]) -> Sampling:
    """The rules of a request; without a seed, one that nobody knows beforehand."""
    seed = given.get("seed")
    rules: dict[str, Any] = {
        **{name: value for name in Sampling.model_fields if (value := given.get(name)) is not None},
        "seed": secrets.randbits(ANY_SEED_BITS) if seed is None else seed % 2**64,
    }
    if rules.get("top_k", 0) < 0:
        rules["top_k"] = 0
    return Sampling(**rules)


def sampling_of_choice(sampling: Sampling, choice: int) -> Sampling:
    """The rules of one of several answers: the first keeps the seed, so that it is the one that is asked for alone;
    each of the others has a seed of its own that follows from it."""
    if choice == 0:
        return sampling
    derived = hashlib.blake2b(f"{sampling.seed}/{choice}".encode(), digest_size=8).digest()
    return sampling.model_copy(update={"seed": int.from_bytes(derived)})
