"""Excel workbooks: each visible sheet as rows of cells, with the values that Excel showed last."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from loresmith.data.readers.blocks import Blocks
from loresmith.data.readers.docx_styles import number_of
from loresmith.data.readers.ooxml import PREFIXES, OfficePackage
from loresmith.data.readers.refusal import NoDocumentError

_MOST_CELLS = 50_000_000
"""Cells that a sheet may have when its gaps are filled: a few far apart would make a text of terabytes."""

# ECMA-376 part 1, 18.8.30: numbers of formats that are never written out; 27 to 36 and 50 to 58 are East Asian dates.
_DATES = {14, 15, 16, 17, 18, 19, 20, 21, 22, *range(27, 37), 45, 46, 47, *range(50, 59)}
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_REFERENCE = re.compile(r"([A-Z]{1,3})[0-9]{1,7}")


def document(package: OfficePackage) -> tuple[Blocks, dict[str, Any]]:
    """The sheets' blocks, a page each; hidden sheets are left out and named."""
    book, strings, formats = _Book(), _Strings(), _Formats()
    package.parse(package.main, book, PREFIXES)
    for kind, events in (("sharedStrings", strings), ("styles", formats)):
        part = package.related(package.main, kind)
        if part:
            package.parse(part, events, PREFIXES)
    targets = {relation.id: relation for relation in package.relations(package.main)}
    blocks = Blocks()
    hidden = []
    for number, (name, id_, visible) in enumerate(book.sheets, start=1):
        relation = targets.get(id_)
        if relation is None or relation.kind != "worksheet" or relation.target not in package:
            continue
        if not visible:
            hidden.append(name)
            continue
        sheet = _Sheet(strings.found, formats.dates, book.first_day)
        package.parse(relation.target, sheet, PREFIXES)
        if sheet.rows:
            blocks.page(number)
            blocks.heading(name, 2)
            _write(sheet.rows, blocks)
    return blocks, {"pages": len(book.sheets)} | ({"hidden_pages": hidden} if hidden else {})


def _write(rows: list[dict[int, str]], blocks: Blocks) -> None:
    columns = sorted({column for row in rows for column in row})
    if len(columns) * len(rows) > _MOST_CELLS:
        raise NoDocumentError("unpacks to too much", f"a sheet of {len(rows)} rows and {len(columns)} columns")
    for row in rows:
        blocks.row([row.get(column, "") for column in columns])
    blocks.end_table()


class _Book:
    def __init__(self) -> None:
        self.sheets: list[tuple[str, str, bool]] = []
        self.first_day = datetime(1899, 12, 30)  # Excel counts 29 February 1900: right from March 1900 on

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "x:sheet":
            visible = attributes.get("state", "visible") == "visible"
            self.sheets.append((attributes.get("name", ""), attributes.get("r:id", ""), visible))
        elif tag == "x:workbookPr" and attributes.get("date1904") in ("1", "true"):
            self.first_day = datetime(1904, 1, 1)

    def end(self, tag: str) -> None: ...
    def text(self, text: str) -> None: ...


class _Strings:
    def __init__(self) -> None:
        self.found: list[str] = []
        self._parts: list[str] = []
        self._reading = False
        self._phonetic = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._phonetic += tag == "x:rPh"
        self._reading = tag == "x:t" and not self._phonetic
        if tag == "x:si":
            self._parts = []

    def end(self, tag: str) -> None:
        self._phonetic -= tag == "x:rPh"
        self._reading = False
        if tag == "x:si":
            self.found.append("".join(self._parts))

    def text(self, text: str) -> None:
        if self._reading:
            self._parts.append(text)


class _Formats:
    """Which of the cells' formats are dates: `dates[style]`."""

    def __init__(self) -> None:
        self.dates: list[bool] = []
        self._own: dict[int, bool] = {}
        self._in_cells = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "x:numFmt":
            code = _LITERAL.sub("", attributes.get("formatCode", ""))
            self._own[number_of(attributes.get("numFmtId"))] = bool(re.search(r"[dmyhs]", code.lower()))
        elif tag == "x:cellXfs":
            self._in_cells = True
        elif tag == "x:xf" and self._in_cells:
            number = number_of(attributes.get("numFmtId"))
            self.dates.append(self._own.get(number, number in _DATES))

    def end(self, tag: str) -> None:
        if tag == "x:cellXfs":
            self._in_cells = False

    def text(self, text: str) -> None: ...


class _Sheet:
    def __init__(self, strings: list[str], dates: list[bool], first_day: datetime) -> None:
        self.rows: list[dict[int, str]] = []
        self._strings, self._dates, self._first_day = strings, dates, first_day
        self._row: dict[int, str] = {}
        self._column = 0
        self._type = self._reading = ""
        self._date = False
        self._value: list[str] = []
        self._formula: list[str] = []
        self._phonetic = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "x:row":
            self._row, self._column = {}, 0
        elif tag == "x:c":
            reference = _REFERENCE.fullmatch(attributes.get("r", ""))
            self._column = _column(reference[1]) if reference else self._column + 1
            style = number_of(attributes.get("s"))
            self._type = attributes.get("t", "n")
            self._date = 0 <= style < len(self._dates) and self._dates[style]
            self._value, self._formula = [], []
        elif tag in ("x:v", "x:t", "x:f") and not self._phonetic:
            self._reading = tag
        else:
            self._phonetic += tag == "x:rPh"

    def end(self, tag: str) -> None:
        self._reading = ""
        self._phonetic -= tag == "x:rPh"
        if tag == "x:c":
            value = self._shown("".join(self._value))
            if not value and self._formula:  # written by a program that calculates nothing
                value = "=" + "".join(self._formula)
            if value.strip():
                self._row[self._column] = value
        elif tag == "x:row" and self._row:
            self.rows.append(self._row)

    def text(self, text: str) -> None:
        if self._reading == "x:f":
            self._formula.append(text)
        elif self._reading:
            self._value.append(text)

    def _shown(self, value: str) -> str:
        if self._type == "s":
            index = number_of(value, -1)
            return self._strings[index] if 0 <= index < len(self._strings) else ""
        if self._type == "b":
            return {"0": "FALSE", "1": "TRUE"}.get(value, value)
        if self._type != "n" or not value:
            return value
        try:
            number = float(value)
            return _date(number, self._first_day) if self._date else f"{number:.15g}"  # Excel has 15 digits
        except (ValueError, OverflowError):
            return value


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _date(days: float, first_day: datetime) -> str:
    """ISO 8601: a date, a time (below one day), or both; to the second, since fractions of a day are no finer."""
    moment = first_day + timedelta(seconds=round(days * 86400))
    if 0 <= days < 1:
        return moment.time().isoformat()
    return moment.isoformat(sep=" ") if days % 1 else moment.date().isoformat()
