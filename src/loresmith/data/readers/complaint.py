"""What a library complains of, without what it may quote of the file.

The reasons of refusals are read by people who may not read the documents: they say of what kind something is, where it
stands and what was expected, and no word of what is there.
"""

from __future__ import annotations

import json
import lzma
import re
import sqlite3
import struct
import zlib
from collections.abc import Iterable
from xml.parsers import expat

from loresmith.nearest import nearest

_PLACE = re.compile(r"\b(line|column|row|byte|char|offset|position|index|page|frame)s?:? (\d{1,12})\b")
_KIND = re.compile(r"'(str|int|float|bool|list|tuple|dict|bytes|NoneType)'")
_KINDS = {str: "text", bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "a mapping"}


_FIXED = (zlib.error, lzma.LZMAError, struct.error, EOFError)
"""Errors whose messages are a fixed few."""


class InOwnWordsError(ValueError):
    """An error whose message is this project's own, and quotes nothing."""


def complaint(error: BaseException) -> str:
    """Of which kind an error is, where it was met and between what kinds of values, as far as its message says so."""
    if isinstance(error, json.JSONDecodeError | expat.ExpatError):
        words = error.msg if isinstance(error, json.JSONDecodeError) else expat.ErrorString(error.code)
        column = error.colno if isinstance(error, json.JSONDecodeError) else error.offset + 1
        return f"{words.removesuffix(': ')}: line {error.lineno}, column {column}"
    if isinstance(error, UnicodeDecodeError):
        return f"{error.reason}: byte {error.start}"
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorname", None):
        return str(error.sqlite_errorname)
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, (InOwnWordsError, *_FIXED)) and str(error):
        return str(error)
    said = str(error)
    found = [f"{word} {number}" for word, number in _PLACE.findall(said)] + _KIND.findall(said)
    return f"{type(error).__name__}{': ' if found else ''}{', '.join(dict.fromkeys(found))}"


def kind_of(value: object) -> str:
    """What sort of thing a value is, as JSON has it."""
    return "nothing" if value is None else _KINDS.get(type(value), f"a {type(value).__name__}")


def unknown(noun: str, name: str, known: Iterable[str], where: str = "") -> str:
    """The sentence about a name in a document that does not exist: it is said only if it is nearly a known one.

    Args:
        noun: what it names, such as `key`.
        known: what could have been written.
        where: where it stands.
    """
    known = list(known)
    meant = nearest(name, known)
    inside = f" in {where}" if where else ""
    if meant is not None:
        return f"unknown {noun} {name!r}{inside}; did you mean {meant!r}?"
    return f"unknown {noun}{inside}" + (f"; known: {', '.join(sorted(set(known)))}" if known else "")
