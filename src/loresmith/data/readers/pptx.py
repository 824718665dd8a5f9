"""PowerPoint presentations: the text of each slide in its order, tables, diagrams, and what the speaker noted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loresmith.data.readers.blocks import Blocks
from loresmith.data.readers.docx_styles import number_of
from loresmith.data.readers.ooxml import PREFIXES, OfficePackage

_TITLES = {"title", "ctrTitle"}
_REPEATED = {"dt", "ftr", "hdr", "sldNum", "sldImg"}  # placeholders that say the same on every slide


def document(package: OfficePackage) -> tuple[Blocks, dict[str, Any]]:
    """The slides' blocks, a page each; hidden slides are left out and named."""
    show = _Show()
    package.parse(package.main, show, PREFIXES)
    targets = {relation.id: relation.target for relation in package.relations(package.main)}
    blocks = Blocks()
    hidden = []
    for number, id_ in enumerate(show.slides, start=1):
        part = targets.get(id_, "")
        if part not in package:
            continue
        slide = _Shapes()
        package.parse(part, slide, PREFIXES)
        if slide.hidden:
            hidden.append(number)
            continue
        blocks.page(number)
        slide.write(blocks)
        for relation in package.relations(part):
            if relation.kind in ("diagramData", "notesSlide") and relation.target in package:
                shapes = _Shapes()
                package.parse(relation.target, shapes, PREFIXES)
                shapes.write(blocks)
    return blocks, {"pages": len(show.slides)} | ({"hidden_pages": hidden} if hidden else {})


class _Show:
    def __init__(self) -> None:
        self.slides: list[str] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "p:sldId":
            self.slides.append(attributes.get("r:id", ""))

    def end(self, tag: str) -> None: ...
    def text(self, text: str) -> None: ...


@dataclass
class _Paragraph:
    parts: list[str] = field(default_factory=list)
    level: int = 0
    marker: str | None = None  # "-", "#" for a number, "" for none; None where the layout decides
    title: bool = False
    body: bool = False


class _Shapes:
    """Events of a slide, of its notes, or of a diagram's data."""

    def __init__(self) -> None:
        self.hidden = False
        self._found: list[_Paragraph | list[list[str]]] = []
        self._placeholder: str | None = None
        self._body: list[str] | None = None
        self._paragraph: _Paragraph | None = None
        self._rows: list[list[str]] | None = None
        self._cell: list[str] = []
        self._covered = self._reading = False
        self._skip = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._skip or tag == "mc:Fallback":
            self._skip += 1
        elif tag == "p:sld":
            self.hidden = attributes.get("show") in ("0", "false")
        elif tag == "p:sp":
            self._placeholder = None
        elif tag == "p:ph":
            self._placeholder = attributes.get("type", "body")
        elif tag == "a:tbl":
            self._rows = []
        elif tag == "a:tr" and self._rows is not None:
            self._rows.append([])
        elif tag == "a:tc":
            self._cell, self._covered = [], bool({"hMerge", "vMerge"} & attributes.keys())
        elif tag == "a:p":
            self._paragraph = _Paragraph(title=self._placeholder in _TITLES, body=self._placeholder in ("body", "obj"))
        elif self._paragraph is not None:
            self._start_in_paragraph(tag, attributes, self._paragraph)

    def end(self, tag: str) -> None:
        if self._skip:
            self._skip -= 1
        elif tag == "a:t":
            self._reading = False
        elif tag == "a:p" and self._paragraph is not None:
            text = "".join(self._paragraph.parts)
            if self._rows is not None:
                self._cell.append(text)
            elif text.strip() and self._placeholder not in _REPEATED:
                self._found.append(self._paragraph)
            self._paragraph = None
        elif tag == "a:tc" and self._rows:
            self._rows[-1].append("" if self._covered else " ".join(self._cell))
        elif tag == "a:tbl" and self._rows is not None:
            self._found.append(self._rows)
            self._rows = None
        elif tag == "p:sp":
            self._placeholder = None

    def text(self, text: str) -> None:
        if self._reading and not self._skip and self._paragraph is not None:
            self._paragraph.parts.append(text)

    def _start_in_paragraph(self, tag: str, attributes: Mapping[str, str], paragraph: _Paragraph) -> None:
        if tag == "a:t":
            self._reading = True
        elif tag == "a:pPr":
            paragraph.level = min(max(number_of(attributes.get("lvl")), 0), 8)
        elif tag in ("a:buNone", "a:buChar", "a:buBlip", "a:buAutoNum"):
            paragraph.marker = {"a:buNone": "", "a:buAutoNum": "#"}.get(tag, "-")
        elif tag == "a:br":
            paragraph.parts.append("\n")
        elif tag == "a:tab":
            paragraph.parts.append("\t")

    def write(self, blocks: Blocks) -> None:
        """Add what was found. A body of several paragraphs is a list, as nearly all layouts have it."""
        bodies = sum(isinstance(found, _Paragraph) and found.body for found in self._found)
        numbers: dict[int, int] = {}
        for found in self._found:
            if not isinstance(found, _Paragraph):
                for row in found:
                    blocks.row(row)
                blocks.end_table()
                continue
            text = "".join(found.parts)
            marker = ("-" if found.body and bodies > 1 else "") if found.marker is None else found.marker
            numbers = {level: count for level, count in numbers.items() if level < found.level or marker == "#"}
            if marker == "#":
                numbers = {level: count for level, count in numbers.items() if level <= found.level}
                numbers[found.level] = numbers.get(found.level, 0) + 1
                marker = f"{numbers[found.level]}."
            if found.title:
                blocks.heading(text, 1)
            elif marker:
                blocks.item(text, found.level, marker)
            else:
                blocks.paragraph(text)
