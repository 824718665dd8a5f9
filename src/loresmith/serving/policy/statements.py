"""A file of Cedar policies, statement by statement, each with its line.

Cedar's parser numbers the policies of a text and says of an error neither line nor policy; read one by one, each
mistake has the line of its policy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loresmith.errors import UserError

_PIECE = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|;', re.DOTALL)
_BLANK = re.compile(r"(?:\s|//[^\n]*(?:\n|$))*")


@dataclass(frozen=True)
class Statement:
    """One policy.

    Attributes:
        id: its `@id`, or the file's name and line where it has none.
        where: file and line.
        text: as it is written.
        tree: Cedar's JSON form of it.
    """

    id: str
    where: str
    text: str
    tree: Mapping[str, Any]

    @property
    def effect(self) -> str:
        """`permit` or `forbid`."""
        return str(self.tree["effect"])


def read_statements(text: str, source: str, name: str | None = None) -> Iterator[Statement]:
    """The policies of a text.

    Args:
        source: what messages call the file.
        name: what ids call it (`source` by default); the same wherever the file lies, since audit records have it.

    Raises:
        UserError: one is not a policy, naming its line.
    """
    for line, written in _split(text):
        yield _statement(written, f"{source}:{line}", f"{name or source}:{line}")


def _split(text: str) -> Iterator[tuple[int, str]]:
    start = _blank_end(text, 0)
    for piece in _PIECE.finditer(text):
        if piece[0] == ";" and piece.start() >= start:
            yield text.count("\n", 0, start) + 1, text[start : piece.end()]
            start = _blank_end(text, piece.end())
    if start < len(text):  # without its semicolon: let Cedar say what is missing
        yield text.count("\n", 0, start) + 1, text[start:]


def _blank_end(text: str, start: int) -> int:
    found = _BLANK.match(text, start)
    return found.end() if found else start


def _statement(text: str, where: str, name: str) -> Statement:
    import cedarpy

    try:
        parsed = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise UserError(f"not a policy: {error}", where=where) from None
    if parsed["templates"]:
        raise UserError(
            "a template (?principal, ?resource) is linked to nothing here: write the group out", where=where
        )
    (tree,) = parsed["staticPolicies"].values()
    annotation = (tree.get("annotations") or {}).get("id")
    return Statement(annotation or name, where, text, tree)
