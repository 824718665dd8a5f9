"""Word documents: what a reader of the final version would see, without headers, footers and comments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loresmith.data.readers.blocks import Blocks
from loresmith.data.readers.docx_styles import Numbering, Styles, number_of
from loresmith.data.readers.ooxml import PREFIXES, OfficePackage

# Tracked changes are taken as accepted. A fallback repeats what stands beside it for older programs.
_SKIPPED = {"w:del", "w:moveFrom", "mc:Fallback", "w:pPrChange", "w:rPrChange", "w:tblPrChange", "w:tcPrChange"}
_SKIPPED |= {"w:sectPr", "w:instrText", "w:rubyPr", "w:rt"}
_CHANGES = {"w:del", "w:ins", "w:moveFrom"}
_CHARACTERS = {"w:tab": "\t", "w:ptab": "\t", "w:br": "\n", "w:cr": "\n", "w:noBreakHyphen": "-"}
_MATHS = {"m:num": "(", "m:den": "/(", "m:sup": "^(", "m:sub": "_(", "m:deg": "[", "m:rad": "√"}
_MATHS_END = {"m:num": ")", "m:den": ")", "m:sup": ")", "m:sub": ")", "m:deg": "]"}
_WIDEST_CELL = 63  # columns that Word allows in a table


def document(package: OfficePackage) -> tuple[Blocks, dict[str, Any]]:
    """The document's blocks, and how many comments and tracked changes it has."""
    styles, numbering = Styles(), Numbering()
    notes: dict[tuple[str, str], str] = {}
    for kind, events in (("styles", styles), ("numbering", numbering)):
        part = package.related(package.main, kind)
        if part:
            package.parse(part, events, PREFIXES)
    for kind in ("footnotes", "endnotes"):
        part = package.related(package.main, kind)
        if part:
            story = _Story(styles, numbering)
            package.parse(part, story, PREFIXES)
            notes |= {(kind, id_): text for id_, text in story.notes.items()}
    story = _Story(styles, numbering)
    package.parse(package.main, story, PREFIXES)
    for number, reference in enumerate(story.references, start=1):
        story.blocks.item(notes.get(reference, ""), 0, f"[^{number}]:")
    comments = _Comments()
    part = package.related(package.main, "comments")
    if part:
        package.parse(part, comments, PREFIXES)
    counts = {"comments": comments.count, "tracked_changes": story.changes}
    return story.blocks, {name: count for name, count in counts.items() if count}


@dataclass
class _Paragraph:
    parts: list[str] = field(default_factory=list)
    style: str = ""
    numbering: str | None = None
    level: int | None = None
    outline: int | None = None


@dataclass
class _Table:
    rows: list[list[str]] = field(default_factory=list)
    cell: list[str] = field(default_factory=list)  # paragraphs of the open cell
    span: int = 1
    continued: bool = False
    count: int = 0


class _Story:
    """Events of the document itself, or of its notes."""

    def __init__(self, styles: Styles, numbering: Numbering) -> None:
        self._styles, self._numbering = styles, numbering
        self.blocks = Blocks()
        self.notes: dict[str, str] = {}
        self.references: list[tuple[str, str]] = []
        self.changes = 0
        self._paragraphs: list[_Paragraph] = []
        self._tables: list[_Table] = []
        self._note: list[str] | None = None
        self._note_id = ""
        self._skip = 0
        self._in_properties = self._hidden = self._reading = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag in _CHANGES and not self._in_properties:
            self.changes += 1
        if self._skip or tag in _SKIPPED:
            self._skip += 1
        elif tag in ("w:t", "m:t"):
            self._reading = True
        elif tag == "w:p":
            self._paragraphs.append(_Paragraph())
        elif tag == "w:pPr":
            self._in_properties = True
        elif tag == "w:r":
            self._hidden = False
        elif tag in ("w:tbl", "w:tr", "w:tc", "w:gridSpan", "w:vMerge"):
            self._start_of_table(tag, attributes)
        elif tag in ("w:footnote", "w:endnote"):
            self._note, self._note_id = [], attributes.get("w:id", "")
        elif self._paragraphs:
            self._start_in_paragraph(tag, attributes, self._paragraphs[-1])

    def end(self, tag: str) -> None:
        if self._skip:
            self._skip -= 1
        elif tag in ("w:t", "m:t"):
            self._reading = False
        elif tag == "w:p" and self._paragraphs:
            self._finish_paragraph(self._paragraphs.pop())
        elif tag == "w:pPr":
            self._in_properties = False
        elif tag in _MATHS_END and self._paragraphs:
            self._paragraphs[-1].parts.append(_MATHS_END[tag])
        elif tag in ("w:footnote", "w:endnote") and self._note is not None:
            self.notes[self._note_id] = " ".join(self._note)
            self._note = None
        elif self._tables:
            self._end_of_table(tag, self._tables[-1])

    def text(self, text: str) -> None:
        if self._reading and not self._skip and not self._hidden and self._paragraphs:
            self._paragraphs[-1].parts.append(text)

    def _start_in_paragraph(self, tag: str, attributes: Mapping[str, str], paragraph: _Paragraph) -> None:
        value = attributes.get("w:val", "")
        if self._in_properties:
            if tag == "w:pStyle":
                paragraph.style = value
            elif tag == "w:numId":
                paragraph.numbering = value
            elif tag == "w:ilvl":
                paragraph.level = number_of(value)
            elif tag == "w:outlineLvl":
                paragraph.outline = number_of(value, 9)
        elif tag == "w:vanish":
            self._hidden = value not in ("0", "false", "off")
        elif tag in _CHARACTERS and not self._hidden:
            paragraph.parts.append(_CHARACTERS[tag])
        elif tag in _MATHS:
            paragraph.parts.append(_MATHS[tag])
        elif tag in ("w:footnoteReference", "w:endnoteReference"):
            self.references.append((tag[2:-9] + "s", attributes.get("w:id", "")))
            paragraph.parts.append(f"[^{len(self.references)}]")

    def _finish_paragraph(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.parts)
        if not text.strip():
            return
        style = self._styles.resolve(paragraph.style)
        outline = style.outline if paragraph.outline is None else paragraph.outline
        numbering = style.numbering if paragraph.numbering is None else paragraph.numbering
        level = min(max((style.level if paragraph.level is None else paragraph.level) or 0, 0), 8)
        marker = self._numbering.marker(numbering, level) if numbering else None
        if self._note is not None:
            self._note.append(text)
        elif self._tables:
            self._tables[-1].cell.append(f"{marker} {text}" if marker else text)
        elif outline is not None and outline < 9:
            self.blocks.heading(f"{marker} {text}" if marker and marker != "-" else text, outline + 1)
        elif marker is not None:
            self.blocks.item(text, level, marker)
        else:
            self.blocks.paragraph(text)

    def _start_of_table(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "w:tbl":
            self._tables.append(_Table())
        elif not self._tables:
            return
        elif tag == "w:tr":
            self._tables[-1].rows.append([])
        elif tag == "w:tc":
            table = self._tables[-1]
            table.cell, table.span, table.continued = [], 1, False
        elif tag == "w:gridSpan":
            self._tables[-1].span = min(max(number_of(attributes.get("w:val"), 1), 1), _WIDEST_CELL)
        else:
            self._tables[-1].continued = attributes.get("w:val") != "restart"

    def _end_of_table(self, tag: str, table: _Table) -> None:
        if tag == "w:tc" and table.rows:
            text = "" if table.continued else " ".join(table.cell)
            table.rows[-1] += [text] + [""] * (table.span - 1)
            table.count += 1
        elif tag == "w:tbl":
            self._tables.pop()
            if self._tables:
                self._tables[-1].cell += [" ".join(filter(None, row)) for row in table.rows]
            elif self._note is not None:
                self._note += [" ".join(filter(None, row)) for row in table.rows]
            elif table.count == 1:  # a frame around text
                for text in table.cell:
                    self.blocks.paragraph(text)
            else:
                for row in table.rows:
                    self.blocks.row(row)
                self.blocks.end_table()


class _Comments:
    def __init__(self) -> None:
        self.count = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.count += tag == "w:comment"

    def end(self, tag: str) -> None: ...
    def text(self, text: str) -> None: ...
