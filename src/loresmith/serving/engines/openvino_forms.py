"""Forms of answers that OpenVINO GenAI keeps to.

It compiles a form in a step, where one that it cannot compile is the end of all requests, and some words of JSON Schema
it reads past. So what it would not follow to the letter is refused before: by llguidance, which knows what can be
followed at all, and by the list below of what OpenVINO (2026.4) knows less of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from loresmith.errors import UserError
from loresmith.serving.engines.generation import Constraint

_UNKNOWN_IN_REGEX = re.compile(r"\(\?(?!:)|\\[pPbBAzZ]|\[\[:")
"""Groups other than `(?:`, classes of Unicode and of POSIX, borders."""

_READ_PAST = frozenset({"multipleOf", "allOf"})


def require_followed(constraint: Constraint) -> None:
    """Raise UserError for a form that OpenVINO would not keep an answer to."""
    import llguidance

    from loresmith.serving.engines.embedded.constraint import grammar_of

    said = llguidance.LLMatcher.validate_grammar(grammar_of(constraint))
    if said:
        raise UserError(f"this {constraint.kind.replace('_', ' ')} cannot be followed: {said.partition(chr(10))[0]}")
    for what in _unknown(constraint):
        raise UserError(f"the engine openvino knows no {what} in a form", hint="the engine torch does")


def _unknown(constraint: Constraint) -> Iterator[str]:
    if constraint.kind == "regex":
        yield from _UNKNOWN_IN_REGEX.findall(constraint.value)
    elif constraint.kind == "json_schema":
        yield from _unknown_in_schema(constraint.value)


def _unknown_in_schema(schema: Any) -> Iterator[str]:
    """In a schema and those in it; a property that is called like a word of JSON Schema is none."""
    if isinstance(schema, list):
        for part in schema:
            yield from _unknown_in_schema(part)
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if key in _READ_PAST:
            yield key
        elif key == "pattern":
            yield from _UNKNOWN_IN_REGEX.findall(str(value))
        elif key in ("properties", "$defs", "definitions"):
            yield from _unknown_in_schema(list(value.values()))
        elif key == "patternProperties":
            yield from (found for name in value for found in _UNKNOWN_IN_REGEX.findall(name))
            yield from _unknown_in_schema(list(value.values()))
        elif key not in ("const", "enum", "default", "examples"):
            yield from _unknown_in_schema(value)
