"""Numbers as people write them in a recipe: `2M` tokens, `512k`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

MULTIPLES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
_WORD = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([kKmMgGbBtT]?)\s*")


def parse_count(value: Any) -> Any:
    """`"2M"` -> 2000000; multiples are of a thousand (k, M, G or B, T). What is not a string is left as it is.

    Raises:
        ValueError: a string that is no number with one of those endings, or no whole number.
    """
    if not isinstance(value, str):
        return value
    match = _WORD.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is not a count such as 4096, 500k or 2M")
    number, unit = match.groups()
    exact = float(number.replace("_", "")) * MULTIPLES[unit.lower() if unit in "kK" else unit.upper()]
    if exact != round(exact):
        raise ValueError(f"{value!r} is not a whole number")
    return round(exact)


TokenCount = Annotated[int, BeforeValidator(parse_count), Field(gt=0)]
"""A positive number of tokens, written as a number or as a word such as 2M."""
