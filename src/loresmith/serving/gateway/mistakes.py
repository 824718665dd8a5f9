"""What is wrong with a body, in plain words: the field, what it must be, and nothing of what the body says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from pydantic import BaseModel, ValidationError

from loresmith.nearest import nearest
from loresmith.serving.gateway.problem import Problem

_KINDS = {
    "string_type": "a text",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
}
"""What a value must be, by the types of pydantic's errors."""

_BOUNDS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_too_short": "a text of at least {min_length:,} characters",
    "string_too_long": "a text of at most {max_length:,} characters",
    "too_short": "a list of at least {min_length:,}",
    "too_long": "a list of at most {max_length:,}",
    "string_pattern_mismatch": "a text that matches {pattern}",
}
"""The same, with what the errors say of the bounds."""

_KEY = "[key]"
_WAY = re.compile(r"(constrained-)?str|[A-Z]\w*|[\w-]*\[.*", re.DOTALL)
"""What pydantic puts into a place for one of several ways to write a value, and for a key: no field is called so."""

_NAMED = ("missing", "extra_forbidden")
"""Errors whose place ends with a name that may be any."""

_LONGEST_NAME = 100
"""Of a longer one, which no field has, so many characters are told."""

_Error = Mapping[str, Any]
_Place = tuple[int | str, ...]


def problem_of(error: ValidationError, model: type[BaseModel], within: str = "") -> Problem:
    """What is told of the first mistake in what a caller wrote.

    Args:
        model: what was to be read.
        within: where in the body it stands.
    """
    errors = error.errors(include_input=False, include_url=False)
    field, message = _mistake(errors, model)
    place = ".".join(str(part)[:_LONGEST_NAME] for part in (within, *field) if part != "")
    if not place:
        of_all = "the body: " if errors[0]["type"] == "value_error" else "the body "
        return Problem(400, f"{of_all}{message}", code="invalid_request")
    return Problem(400, f"{place}: {message}", code="invalid_request", param=place)


def _mistake(errors: Sequence[_Error], model: type[BaseModel]) -> tuple[_Place, str]:
    """The field that is wrong, and what it must be."""
    first = errors[0]
    root = tuple(takewhile(lambda part: not _is_way(part), _written(first)))
    ways = _ways(errors, root)
    if not ways:
        return _field(first), _plain(first, model)
    begun = [error for error in ways if len(error["loc"]) > len(root) + 1 or error["type"] in _BOUNDS]
    hint = _description(model, root)
    if begun:  # one of the ways was meant
        return _field(begun[0]), f"{_plain(begun[0], model)}{hint}"
    wanted = list(dict.fromkeys(_wanted(error) for error in ways))
    separator = ", or " if any(" or " in one for one in wanted) else " or "
    return root, f"must be {separator.join(wanted)}{hint}"


def _ways(errors: Sequence[_Error], root: _Place) -> list[_Error]:
    """Of each way to write what stands at a place, the first thing that is wrong with it."""
    found: dict[Any, _Error] = {}
    for error in errors:
        written = _written(error)
        if written[: len(root)] == root and len(written) > len(root) and _is_way(written[len(root)]):
            found.setdefault(written[len(root)], error)
    return [error for way, error in found.items() if way != _KEY]


def _plain(error: _Error, model: type[BaseModel]) -> str:
    kind, field = error["type"], _field(error)
    if kind == "missing":
        return "this field is missing"
    if kind == "extra_forbidden":
        meant = nearest(str(field[-1])[:_LONGEST_NAME], _names(model)) if len(field) == 1 else None
        return f"this field is not known here{f'; did you mean {meant!r}?' if meant else ''}"
    if kind == "json_invalid":
        return f"is no JSON: {error['ctx']['error']}"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "none_required":
        return f"this is not served: leave it out{_description(model, field)}"
    what = "each key must be" if _is_of_key(error) else "must be"
    return f"{what} {_wanted(error) or 'what /openapi.json describes'}"


def _wanted(error: _Error) -> str:
    """What a value must be; empty where that is not for an error of this type to say."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return str(context["expected"]).replace("False", "false")
    if context.get("min_length") == 1:
        return f"{'a text' if kind == 'string_too_short' else 'a list'} that is not empty"
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**{name: _number(value) for name, value in context.items()})
    return _KINDS.get(kind, "")


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _field(error: _Error) -> _Place:
    """The field that an error is about, as a body has it; of a key, the object that it is a key of."""
    if _is_of_key(error):
        return tuple(error["loc"][:-2])
    end = error["loc"][-1:] if error["type"] in _NAMED else ()
    return (*(part for part in _written(error) if not _is_way(part)), *end)


def _written(error: _Error) -> _Place:
    """Where an error is, without a name that may be any."""
    place: _Place = tuple(error["loc"])
    return place[:-1] if error["type"] in _NAMED else place


def _is_of_key(error: _Error) -> bool:
    return tuple(error["loc"][-1:]) == (_KEY,)


def _is_way(part: int | str) -> bool:
    return isinstance(part, str) and _WAY.fullmatch(part) is not None


def _description(model: type[BaseModel], field: _Place) -> str:
    """What is said of a field of the body, as a sentence more."""
    found = model.model_fields.get(str(field[0])) if len(field) == 1 else None
    return "" if found is None or not found.description else f". {found.description.rstrip('.')}"


def _names(model: type[BaseModel]) -> Iterable[str]:
    return (field.alias or name for name, field in model.model_fields.items())
