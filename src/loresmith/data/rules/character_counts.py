"""How many characters of a kind a text has: ASCII's by table, the others one by one."""

from __future__ import annotations

import re
from collections.abc import Callable

_OTHERS = re.compile(r"[^\x00-\x7f]+")


class CharacterCounts:
    """Counts characters of one text."""

    def __init__(self, text: str) -> None:
        self._bytes = text.encode("utf-8", "surrogatepass")
        self._others = "" if text.isascii() else "".join(_OTHERS.findall(text))

    def of(self, ascii_: bytes, other: Callable[[str], bool]) -> int:
        """How many characters are among some of ASCII's, or are others of which something is true."""
        found = len(self._bytes) - len(self._bytes.translate(None, ascii_))
        return found + sum(map(other, self._others))
