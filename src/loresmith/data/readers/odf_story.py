"""The content of an OpenDocument file as blocks: paragraphs, headings, items, rows, notes and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loresmith.data.readers.blocks import Blocks
from loresmith.data.readers.odf_styles import Styles
from loresmith.data.readers.refusal import NoDocumentError

_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
PREFIXES = {
    f"{_OASIS}{name}:1.0": name
    for name in ("office", "text", "table", "style", "meta", "manifest", "drawing", "presentation")
}
PREFIXES["http://purl.org/dc/elements/1.1/"] = "dc"

# What was deleted, what only its writers saw, what repeats elsewhere.
_SKIPPED = {"text:tracked-changes", "office:annotation", "text:ruby-text", "style:header", "style:footer"}
_SKIPPED |= {"office:forms", "presentation:header-decl", "presentation:footer-decl", "text:table-of-content"}
_KINDS = {"office:text": "text", "office:spreadsheet": "spreadsheet", "office:presentation": "presentation"}
_MOST_REPEATED = 10_000
"""Cells or rows that one element may stand for if they say something; sheets end with millions that are empty."""

_MOST_CELLS = 50_000_000


class Story:
    """Events of the content; afterwards `finish`, `kind`, and the `counts` for the metadata."""

    def __init__(self, styles: Styles) -> None:
        self.kind = ""
        self.blocks = Blocks()
        self._styles = styles
        self._skip = 0
        self._paragraphs: list[tuple[list[str], int]] = []  # text, and level of a heading
        self._lists: list[tuple[str, int]] = []  # style, and the last number
        self._items: list[bool] = []  # whether the item's marker is still to be written
        self._rows: list[list[list[str]]] = []  # of each open table
        self._cells: list[list[str]] = []  # of each open cell its paragraphs
        self._repeats: list[tuple[int, int]] = []
        self._notes: list[str] = []
        self._in_note = False
        self._note: list[str] = []
        self._pages = self._tracked = self._comments = self._written = 0
        self._hidden: list[str | int] = []
        self._class = ""

    @property
    def counts(self) -> dict[str, Any]:
        """Pages, those that are hidden, comments and tracked changes; what there is of them."""
        found = {"pages": self._pages, "hidden_pages": self._hidden}
        found |= {"comments": self._comments, "tracked_changes": self._tracked}
        return {name: count for name, count in found.items() if count}

    def finish(self) -> str:
        """The text, with its notes at its end."""
        for number, note in enumerate(self._notes, start=1):
            self.blocks.item(note, 0, f"[^{number}]:")
        return self.blocks.finish()

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._comments += tag == "office:annotation"
        self._tracked += tag == "text:changed-region"
        if self._skip or tag in _SKIPPED or self._is_hidden(tag, attributes):
            self._skip += 1
        elif tag in _KINDS:
            self.kind = self.kind or _KINDS[tag]
        elif not self.kind:
            return
        elif tag in ("text:p", "text:h"):
            level = attributes.get("text:outline-level", "1")
            heading = int(self._class == "title")
            if tag == "text:h":
                heading = int(level) if level.isdecimal() and len(level) < 3 else 1
            self._paragraphs.append(([], heading))
        elif tag in ("text:list", "text:list-item", "text:list-header"):
            self._start_of_list(tag, attributes)
        elif tag.startswith("table:"):
            self._start_of_table(tag, attributes)
        elif tag == "text:note-citation":
            self._skip += 1
        elif tag == "text:note":
            self._note, self._in_note = [], True
            self._put(f"[^{len(self._notes) + 1}]")
        elif tag == "drawing:frame":
            self._class = attributes.get("presentation:class", "")
        elif tag == "text:s":
            count = attributes.get("text:c", "1")
            self._put(" " * (int(count) if count.isdecimal() and len(count) < 4 else 1))
        elif tag in ("text:tab", "text:line-break"):
            self._put("\t" if tag == "text:tab" else "\n")

    def end(self, tag: str) -> None:
        if self._skip:
            self._skip -= 1
        elif tag in ("text:p", "text:h") and self._paragraphs:
            self._finish_paragraph(*self._paragraphs.pop())
        elif tag == "text:list" and self._lists:
            self._lists.pop()
        elif tag == "text:list-item" and self._items:
            self._items.pop()
        elif tag.startswith("table:"):
            self._end_of_table(tag)
        elif tag == "text:note":
            self._notes.append(" ".join(self._note))
            self._in_note = False
        elif tag == "drawing:frame":
            self._class = ""

    def text(self, text: str) -> None:
        if not self._skip and self._paragraphs:
            # White space is collapsed as in HTML; what is meant is written as text:s and text:tab.
            words = " ".join(text.split())
            self._put((" " if text[0].isspace() else "") + words + (" " if words and text[-1].isspace() else ""))

    def _put(self, text: str) -> None:
        if self._paragraphs:
            self._paragraphs[-1][0].append(text)

    def _is_hidden(self, tag: str, attributes: Mapping[str, str]) -> bool:
        if tag == "drawing:page":
            self._pages += 1
            if self._styles.hidden(attributes.get("drawing:style-name", "")):
                self._hidden.append(self._pages)
                return True
            self.blocks.page(self._pages)
        elif tag == "table:table" and self.kind == "spreadsheet" and not self._rows:
            self._pages += 1
            name = attributes.get("table:name", "")
            if self._styles.hidden(attributes.get("table:style-name", "")):
                self._hidden.append(name)
                return True
            self.blocks.page(self._pages)
            self.blocks.heading(name, 2)
        elif tag in ("text:span", "text:p"):
            return self._styles.hidden(attributes.get("text:style-name", ""))
        elif tag == "drawing:frame":
            return attributes.get("presentation:class", "") in ("footer", "header", "date-time", "page-number", "page")
        return False

    def _finish_paragraph(self, parts: list[str], heading: int) -> None:
        text = "".join(parts)
        marker, level = "", max(len(self._lists) - 1, 0)
        if self._items and text.strip():
            if self._items[-1]:
                marker = self._marker()
            self._items[-1] = False
        if self._in_note:
            self._note.append(text)
        elif self._cells:
            self._cells[-1].append(f"{marker} {text}" if marker else text)
        elif heading:
            self.blocks.heading(text, heading)
        elif self._items:
            self.blocks.item(text if marker else "  " + text, level, marker)
        else:
            self.blocks.paragraph(text)

    def _marker(self) -> str:
        style, number = self._lists[-1]
        if not self._styles.numbered(style, len(self._lists)):
            return "-"
        self._lists[-1] = (style, number + 1)
        return f"{number + 1}."

    def _start_of_list(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "text:list":
            inherited = self._lists[-1][0] if self._lists else ""
            self._lists.append((attributes.get("text:style-name") or inherited, 0))
        elif tag == "text:list-item" and self._lists:
            self._items.append(True)

    def _start_of_table(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "table:table":
            self._rows.append([])
        elif tag == "table:table-row" and self._rows:
            self._rows[-1].append([])
            self._repeats.append((_count(attributes.get("table:number-rows-repeated")), 1))
        elif tag in ("table:table-cell", "table:covered-table-cell") and self._repeats:
            self._cells.append([])
            self._repeats[-1] = (self._repeats[-1][0], _count(attributes.get("table:number-columns-repeated")))

    def _end_of_table(self, tag: str) -> None:
        if tag in ("table:table-cell", "table:covered-table-cell") and self._cells and self._rows and self._rows[-1]:
            said = self._cells.pop()
            text = " ".join(said) if tag == "table:table-cell" else ""
            repeated = self._repeats[-1][1]
            if text or len(self._rows[-1][-1]) < _MOST_REPEATED:
                self._rows[-1][-1] += [text] * min(repeated, _MOST_REPEATED if text else 1000)
        elif tag == "table:table-row" and self._repeats:
            repeated, _ = self._repeats.pop()
            row = self._rows[-1].pop() if self._rows and self._rows[-1] else []
            filled = any(cell.strip() for cell in row)
            self._written += len(row) * min(repeated, _MOST_REPEATED) if filled else 0
            if self._written > _MOST_CELLS:
                raise NoDocumentError("unpacks to too much", f"more than {_MOST_CELLS} cells")
            if filled:
                self._rows[-1] += [row] * min(repeated, _MOST_REPEATED)
        elif tag == "table:table" and self._rows:
            self._finish_table(self._rows.pop())

    def _finish_table(self, rows: list[list[str]]) -> None:
        if self._cells:
            self._cells[-1] += [" ".join(filter(None, row)) for row in rows]
            return
        for row in rows:
            self.blocks.row(row)
        self.blocks.end_table()


def _count(value: str | None) -> int:
    return min(max(int(value), 1), 1 << 20) if value and value.isdecimal() and len(value) < 8 else 1
