"""What a Word document's styles and numbering say of a paragraph: its level as a heading, its marker as an item."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
_ROMAN = {"m": 1000, "cm": 900, "d": 500, "cd": 400, "c": 100, "xc": 90, "l": 50, "xl": 40}
_ROMAN |= {"x": 10, "ix": 9, "v": 5, "iv": 4, "i": 1}
_LONGEST_CHAIN = 20  # of styles that are based on one another; Word itself allows 10


def number_of(value: str | None, default: int = 0) -> int:
    """A small number from an attribute; the default if it is none."""
    return int(value) if value and re.fullmatch(r"-?[0-9]{1,9}", value, re.ASCII) else default


@dataclass
class Style:
    """A paragraph style; what is None it has from the style it is based on."""

    name: str = ""
    based_on: str = ""
    outline: int | None = None
    numbering: str | None = None
    level: int | None = None


class Styles:
    """Events of `styles.xml`."""

    def __init__(self) -> None:
        self._styles: dict[str, Style] = {}
        self._open = Style()

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        value = attributes.get("w:val", "")
        if tag == "w:style":
            self._open = self._styles.setdefault(attributes.get("w:styleId", ""), Style())
        elif tag == "w:name":
            self._open.name = value
        elif tag == "w:basedOn":
            self._open.based_on = value
        elif tag == "w:outlineLvl":
            self._open.outline = number_of(value, 9)
        elif tag == "w:numId":
            self._open.numbering = value
        elif tag == "w:ilvl":
            self._open.level = number_of(value)

    def end(self, tag: str) -> None: ...
    def text(self, text: str) -> None: ...

    def resolve(self, id_: str) -> Style:
        """A style with all that it inherits; its `outline` counts from 0, and is None where it is no heading."""
        found = Style()
        for _ in range(_LONGEST_CHAIN):
            style = self._styles.get(id_)
            if style is None:
                break
            outline = style.outline
            heading = _HEADING.fullmatch(style.name)
            if outline is None and (heading or style.name.lower() == "title"):
                outline = int(heading[1]) - 1 if heading else 0
            found.outline = outline if found.outline is None else found.outline
            found.numbering = style.numbering if found.numbering is None else found.numbering
            found.level = style.level if found.level is None else found.level
            id_ = style.based_on
        return found


@dataclass
class _Level:
    format: str = "decimal"
    text: str = ""
    start: int = 1


@dataclass
class _List:
    abstract: str = ""
    restarts: dict[int, int] = field(default_factory=dict)


class Numbering:
    """Events of `numbering.xml`, and afterwards the counters of its lists."""

    def __init__(self) -> None:
        self._abstract: dict[str, dict[int, _Level]] = {}
        self._lists: dict[str, _List] = {}
        self._levels: dict[int, _Level] = {}
        self._level = _Level()
        self._list: _List | None = None
        self._override = 0
        self._counters: dict[str, dict[int, int]] = {}

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        value = attributes.get("w:val", "")
        if tag == "w:abstractNum":
            self._levels = self._abstract.setdefault(attributes.get("w:abstractNumId", ""), {})
        elif tag == "w:lvl" and self._list is None:
            self._level = self._levels.setdefault(number_of(attributes.get("w:ilvl")), _Level())
        elif tag == "w:start":
            self._level.start = number_of(value, 1)
        elif tag == "w:numFmt":
            self._level.format = value
        elif tag == "w:lvlText":
            self._level.text = value
        elif tag == "w:num":
            self._list = self._lists.setdefault(attributes.get("w:numId", ""), _List())
        elif tag == "w:abstractNumId" and self._list:
            self._list.abstract = value
        elif tag == "w:lvlOverride":
            self._override = number_of(attributes.get("w:ilvl"))
            self._level = _Level()  # what an override says beside a new start is left out
        elif tag == "w:startOverride" and self._list:
            self._list.restarts[self._override] = number_of(value, 1)

    def end(self, tag: str) -> None:
        if tag == "w:num":
            self._list = None

    def text(self, text: str) -> None: ...

    def marker(self, id_: str, level: int) -> str | None:
        """The marker of the next item of a list: `-` for bullets, or its number; None if there is no such list."""
        found = self._lists.get(id_)
        if found is None:
            return None
        levels = self._abstract.get(found.abstract, {})
        own = levels.get(level, _Level("bullet"))
        if own.format == "bullet":
            return "-"
        # Lists of one definition go on counting, unless they say that they start anew.
        counters = self._counters.setdefault(f"num {id_}" if found.restarts else f"abstract {found.abstract}", {})

        def start_of(at: int) -> int:
            return found.restarts.get(at, levels.get(at, _Level()).start)

        counters[level] = counters[level] + 1 if level in counters else start_of(level)
        for deeper in [at for at in counters if at > level]:
            del counters[deeper]

        def shown(match: re.Match[str]) -> str:
            at = int(match[1]) - 1
            return _formatted(counters.get(at, start_of(at)), levels.get(at, _Level()).format)

        return re.sub(r"%([1-9])", shown, own.text).strip()


def _formatted(number: int, format_: str) -> str:
    if format_ in ("lowerLetter", "upperLetter"):
        letters = chr(ord("a") + (number - 1) % 26) * min((number - 1) // 26 + 1, 20)
        return letters if format_ == "lowerLetter" else letters.upper()
    if format_ in ("lowerRoman", "upperRoman") and 0 < number < 5000:
        roman = ""
        for letters, value in _ROMAN.items():
            roman += letters * (number // value)
            number %= value
        return roman if format_ == "lowerRoman" else roman.upper()
    return "" if format_ == "none" else str(number)
