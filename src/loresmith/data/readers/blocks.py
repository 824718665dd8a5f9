"""Paragraphs, headings, items and rows to text, the same for every format that has them.

Blocks are separated by an empty line; items and rows that follow one another by a line end. Headings begin with `#`s
as in Markdown, items with `-` or their number, indented by level; cells are separated by tabs.
"""

from __future__ import annotations

from collections.abc import Sequence

_DEEPEST = 8


class Blocks:
    """Collects blocks, and where pages begin."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._last = ""
        self._page = 0
        self._pages: list[tuple[int, int]] = []

    @property
    def pages(self) -> tuple[tuple[int, int], ...]:
        """Number and first character of each page that has text."""
        return tuple(self._pages)

    def page(self, number: int) -> None:
        """What follows is on this page."""
        self._page, self._last = number, ""

    def paragraph(self, text: str) -> None:
        self._add(text, "", "paragraph")

    def heading(self, text: str, level: int) -> None:
        self._add(" ".join(text.split()), "#" * min(max(level, 1), 6) + " ", "heading")

    def item(self, text: str, level: int, marker: str) -> None:
        """`level` counts from 0; `marker` is `-`, or a number as it is to be shown."""
        self._add(text, "  " * min(max(level, 0), _DEEPEST) + (f"{marker} " if marker else ""), "item")

    def row(self, cells: Sequence[str]) -> None:
        """One row of a table, on one line; empty cells at its end are left out."""
        line = "\t".join(" ".join(cell.split()) for cell in cells).rstrip("\t")
        if line:
            self._put(line, "row")

    def end_table(self) -> None:
        """Rows that follow are another table's."""
        if self._last == "row":
            self._last = ""

    def finish(self) -> str:
        """The text; it ends with a line end unless it is empty."""
        return "".join([*self._parts, "\n"]) if self._parts else ""

    def _add(self, text: str, prefix: str, kind: str) -> None:
        lines = [line.strip(" \r\f\v") for line in text.strip().split("\n")]
        if any(lines):
            self._put(prefix + "\n".join(lines), kind)

    def _put(self, text: str, kind: str) -> None:
        if self._parts:
            self._parts.append("\n" if kind == self._last and kind in ("item", "row") else "\n\n")
            self._length += len(self._parts[-1])
        if self._page and (not self._pages or self._pages[-1][0] != self._page):
            self._pages.append((self._page, self._length))
        self._parts.append(text)
        self._length += len(text)
        self._last = kind
