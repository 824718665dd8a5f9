"""What form an answer is to have, in llguidance's own words."""

from __future__ import annotations

import json

from loresmith.errors import UserError
from loresmith.serving.engines.generation import Constraint


def grammar_of(constraint: Constraint) -> str:
    """The constraint as a grammar.

    Raises:
        UserError: the schema, the expression or the grammar cannot be read.
    """
    import llguidance

    try:
        if constraint.kind == "json_schema":
            return str(llguidance.LLMatcher.grammar_from_json_schema(json.dumps(constraint.value)))
        if constraint.kind == "regex":
            return str(llguidance.LLMatcher.grammar_from_regex(constraint.value))
        return str(llguidance.LLMatcher.grammar_from_lark(constraint.value))
    except (ValueError, TypeError) as error:
        raise UserError(f"this {constraint.kind.replace('_', ' ')} cannot be followed: {error}") from error
