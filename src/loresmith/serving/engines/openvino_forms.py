"""Forms of answers that OpenVINO GenAI keeps to.

It compiles a form in a step, where one that it cannot compile is the end of all requests, and some words of JSON Schema
it reads past. So what it would not follow to the letter is refused before: by llguidance, which knows what can be
followed at all, and by the list below of what OpenVINO (2026.4) knows less of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from loresmith.errors import UserError
from loresmith.serving.engines.generation import Constraint
from loresmith.serving.engines.grammar import grammar_of
from loresmith.serving.subschemas import BY_NAME, subschemas

_UNKNOWN_ANYWHERE = frozenset({r"\p", r"\P", r"\b", r"\B", r"\A", r"\z", r"\Z", "[]", "[^]"})
"""Classes of Unicode, borders, and classes whose first letter is `]`, which not all read alike.

Unknown in their places: groups other than `(?:`, and `[` in a class, which begins a class in it or of POSIX
(`[[:alpha:]]`) for some, and is a letter for others."""

_PART_OF_REGEX = re.compile(r"\\.|\(\?(?!:)|\[\^?\]?|\]", re.DOTALL)
"""What is to be told apart: an escaped character, the beginning of a group, and where a class begins and ends."""

_READ_PAST = frozenset({"multipleOf", "allOf"})


def require_followed(constraint: Constraint) -> None:
    """Raise UserError for a form that OpenVINO would not keep an answer to."""
    import llguidance

    said = llguidance.LLMatcher.validate_grammar(grammar_of(constraint))
    if said:
        raise UserError(f"this {constraint.kind.replace('_', ' ')} cannot be followed: {said.partition(chr(10))[0]}")
    for what in _unknown(constraint):
        raise UserError(f"the engine openvino knows no {what} in a form", hint="the engine torch does")


def _unknown(constraint: Constraint) -> Iterator[str]:
    if constraint.kind == "regex":
        yield from _unknown_in_regex(constraint.value)
    elif constraint.kind == "json_schema":
        yield from _unknown_in_schema(constraint.value)


def _unknown_in_regex(written: str) -> Iterator[str]:
    """In an expression; in a class, a parenthesis is a letter."""
    in_class = False
    for part in _PART_OF_REGEX.findall(written):
        if part in _UNKNOWN_ANYWHERE or (part == "(?" and not in_class):
            yield part
        elif part.startswith("[") and in_class:
            yield "[ in a class"
        elif not part.startswith("\\"):
            in_class = part.startswith("[") or (in_class and part != "]")


def _unknown_in_schema(schema: Any) -> Iterator[str]:
    """In a schema and those in it."""
    for part in subschemas(schema):
        yield from sorted(_READ_PAST & part.keys())
        yield from (f"{word} without names" for word in sorted(BY_NAME) if not isinstance(part.get(word, {}), Mapping))
        named = part.get("patternProperties")
        patterns = [part["pattern"]] if "pattern" in part else []
        for written in [*patterns, *(named if isinstance(named, Mapping) else ())]:
            yield from _unknown_in_regex(str(written))
