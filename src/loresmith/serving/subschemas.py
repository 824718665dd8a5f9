"""Walking through a JSON Schema that nobody has looked at before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_DATA = frozenset({"const", "enum", "default", "examples"})
BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Words under which schemas stand by name."""


def subschemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    """A schema and all that are in it, in no order of meaning.

    A property that is called like a word of JSON Schema is not taken for one. What stands where a schema should and is
    none is passed over; what is in it is not.
    """
    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, list | tuple):
            left += part
        if not isinstance(part, Mapping):
            continue
        yield part
        for word, value in part.items():
            if word in BY_NAME and isinstance(value, Mapping):
                left += value.values()
            elif word not in _DATA:
                left.append(value)
