"""Whether source code is whole: it parses where there is a parser at hand, and else its brackets pair."""

from __future__ import annotations

import ast
import json
import tomllib
import warnings
from collections.abc import Callable
from xml.parsers import expat

LARGEST = 1 << 20
"""Characters of the longest document that is parsed; a tree takes a hundred times its text in memory."""

_PAIRS = {")": "(", "]": "[", "}": "{"}


def parses(text: str, language: str) -> bool | None:
    """Whether it does; None where there is no parser for the language, or the document is too long for it."""
    parser = _PARSERS.get(language)
    if parser is None or len(text) > LARGEST:
        return None
    try:
        parser(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, expat.ExpatError):
        return False
    return True


def unmatched_brackets(code: str) -> tuple[int, int]:
    """How many brackets have no partner, and how many there are, in code without its comments and strings."""
    open_: list[str] = []
    unmatched = count = 0
    for bracket in filter("()[]{}".__contains__, code):
        count += 1
        if bracket in "([{":
            open_.append(bracket)
        elif open_ and open_[-1] == _PAIRS[bracket]:
            open_.pop()
        else:
            unmatched += 1
    return unmatched + len(open_), count


def _python(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ast.parse(text)


def _xml(text: str) -> None:
    parser = expat.ParserCreate()
    parser.EntityDeclHandler = _refuse_entity
    parser.Parse(text.encode(), True)


def _refuse_entity(*declared: object) -> None:
    """Entities may stand for more text than there is memory."""
    raise ValueError(f"declares an entity: {declared[0]}")


_PARSERS: dict[str, Callable[[str], object]] = {
    "python": _python,
    "json": json.loads,
    "toml": tomllib.loads,
    "xml": _xml,
}
