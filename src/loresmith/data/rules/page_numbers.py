"""Lines that say nothing but the number of a page."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

_WORDS = "page|seite|página|pagina|blatt|bladzijde|sida|side|sivu|strona|страница"
_SHORT = r"(?:pg|pag|pág|p|s|str|стр)(?:\.|(?=[^\S\n]))"  # `P520` is a machine, and `Pic` an instruction
_ROMAN = r"[ivxlc]{1,7}"
_OF = "of|von|de|di|van|av|af|sur|z|из|/|共"
_SPACE = r"[^\S\n]*"
_GAP = r"[^\S\n]+"
_DASH = "[-–—]"
_NAMED = (
    rf"(?:(?:{_WORDS})\.?|{_SHORT})(?:{_SPACE}(?P<number>\d{{1,5}})|{_GAP}(?P<roman>{_ROMAN}))"
    rf"(?:{_SPACE}(?:{_OF}){_SPACE}(?:\d{{1,5}}|{_ROMAN}))?\.?"
    rf"|第{_SPACE}(?P<chinese>\d{{1,5}}){_SPACE}[页頁](?:{_SPACE}共{_SPACE}\d{{1,5}}{_SPACE}[页頁])?"
    rf"|{_DASH}{_SPACE}(?:(?P<between>\d{{1,5}})|(?P<roman_between>{_ROMAN})){_SPACE}{_DASH}"
)
_PAGE_NUMBER = re.compile(rf"(?:{_NAMED}|\d{{1,5}}{_SPACE}(?:of|von|sur|из){_SPACE}\d{{1,5}})", re.IGNORECASE)
# What comes first is looked at alone, since few lines begin so.
_LINE = re.compile(rf"^{_SPACE}+(?=[psbс第–—-])(?P<said>{_NAMED}){_SPACE}\n", re.IGNORECASE | re.MULTILINE)
_BARE = re.compile(r"\d{1,5}")
_LONGEST = 32
_LONGEST_ALONE = 48  # characters of such a line in a text without pages, white space included
_COUNTED = 3
_DIGITS = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


@dataclass(frozen=True)
class _Numbered:
    """A line that may be the number of a page: first character, the one after its line feed, and what it says."""

    start: int
    end: int
    text: str
    number: int


def is_page_number(line: str) -> bool:
    """Whether a line without white space around it says that it is the number of a page, as `Page 3 of 10` does."""
    return len(line) <= _LONGEST and _PAGE_NUMBER.fullmatch(line) is not None


def counted_pages(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and text of the lines of a text without pages that count them: each of three or more lines of one
    form, such as `Page 3 of 10` or `- 3 -`, has the number after that of the one before it."""
    forms: dict[str, list[_Numbered]] = defaultdict(list)
    for found in _LINE.finditer(text):
        if len(found["said"]) <= _LONGEST and found.end() - found.start() < _LONGEST_ALONE:
            form, number = _form(found)
            forms[form].append(_Numbered(found.start(), found.end(), found["said"], number))
    for lines in forms.values():
        for run in _runs(lines):
            if len(run) >= _COUNTED:
                yield from ((line.start, line.end, line.text) for line in run)


def bare_number(line: str) -> int | None:
    """The number that a line consists of: of a page, a table's cell, or anything."""
    return int(line) if _BARE.fullmatch(line) else None


def _form(found: re.Match[str]) -> tuple[str, int]:
    """What a line is without its number, and the number."""
    name = next(name for name in ("number", "roman", "chinese", "between", "roman_between") if found[name])
    said = found["said"]
    start, end = found.start(name) - found.start("said"), found.end(name) - found.start("said")
    form = " ".join(f"{said[:start]}#{said[end:]}".lower().split())
    return form, _roman(found[name]) if name.startswith("roman") else int(found[name])


def _runs(lines: list[_Numbered]) -> Iterator[list[_Numbered]]:
    run: list[_Numbered] = []
    for line in lines:
        if run and line.number != run[-1].number + 1:
            yield run
            run = []
        run.append(line)
    yield run


def _roman(number: str) -> int:
    values = [_DIGITS[letter] for letter in number.lower()]
    return sum(-low if low < high else low for low, high in zip(values, [*values[1:], 0], strict=True))
