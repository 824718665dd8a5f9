"""What an engine would prepare for without end is refused before it is told of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from loresmith.errors import UserError
from loresmith.serving.engines.generation import Constraint, Grammar, JsonSchema, Regex
from loresmith.serving.engines.grammar_trial import GrammarTrials

ENDLESS: dict[str, Constraint] = {
    "multiples of a large number": JsonSchema(value={"type": "integer", "multipleOf": 99_999_999}),
    "multiples of two that have none in common": JsonSchema(
        value={"type": "integer", "allOf": [{"multipleOf": 9973}, {"multipleOf": 9967}]}
    ),
    "the same in a grammar": Grammar(
        value='start: number\nnumber: %json {"type": "integer", "multiple\\u004ff": 99999999}\n'
    ),
    "many expressions at once": JsonSchema(
        value={"allOf": [{"type": "string", "pattern": f"(.*[ab]){{{times}}}"} for times in range(60)]}
    ),
    # It would not take long, but end the process.
    "a long chain of rules": Grammar(
        value="\n".join(["start: r0", *(f'r{n}: "a" r{n + 1}?' for n in range(3000)), 'r3000: "b"'])
    ),
}


def tried(*constraints: Constraint) -> list[float]:
    """How long each took."""

    async def trying() -> list[float]:
        trials, took = GrammarTrials(), []
        for constraint in constraints:
            begun = time.monotonic()
            await trials.require_preparable(constraint)
            took.append(time.monotonic() - begun)
        return took

    return asyncio.run(trying())


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_would_be_prepared_for_without_end_is_refused(kind: str) -> None:
    with pytest.raises(UserError, match="takes too long to prepare for"):
        tried(ENDLESS[kind])


@pytest.mark.parametrize(
    "value",
    [
        {"type": "object", "properties": {"name": {"type": "string", "pattern": "^[A-Z][a-z]+$", "maxLength": 40}}},
        {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}, "required": ["day"]},
        {"type": "object", "properties": {"price": {"type": "number", "multipleOf": 0.01, "maximum": 10**6}}},
        {"enum": [f"{number:05}" for number in range(5000)]},
    ],
)
def test_what_applications_ask_for_is_let_through(value: dict[str, Any]) -> None:
    tried(JsonSchema(value=value))


def test_what_is_wrong_is_for_the_engine_to_say() -> None:
    tried(JsonSchema(value={"type": "string", "pattern": "("}), Grammar(value="start: nothing"))


def test_nothing_is_tried_twice_and_what_is_plain_never() -> None:
    grammar = Grammar(value='start: "a" | "b"')
    first, again, plain, regex = tried(
        grammar, grammar, JsonSchema(value={"type": "object", "properties": {"a": {}}}), Regex(value="[a-z]{3}")
    )
    assert max(again, plain, regex) < first / 3


def test_who_leaves_ends_the_trial() -> None:
    async def leaving() -> None:
        trials = GrammarTrials()
        for _ in range(4):  # more than have room at once
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await trials.require_preparable(ENDLESS["many expressions at once"])
        await trials.require_preparable(Grammar(value='start: "a"'))

    asyncio.run(leaving())
