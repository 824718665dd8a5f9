"""Lines that say nothing but the number of a page."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORDS = "page|pg|seite|s|página|pagina|pag|pág|p|blatt|bladzijde|sida|side|sivu|strona|str|стр|страница|第"
_NUMBER = r"(?:\d{1,5}|[ivxlc]{1,7})"
_OF = "of|von|de|di|van|av|af|sur|z|из|/|共"
_SPACE = r"[^\S\n]*"
_TOLD = (
    rf"(?:{_WORDS})\.?{_SPACE}{_NUMBER}(?:{_SPACE}(?:{_OF}){_SPACE}{_NUMBER})?\.?"
    rf"|\d{{1,5}}{_SPACE}(?:of|von|sur|из){_SPACE}\d{{1,5}}|[-–—]{_SPACE}{_NUMBER}{_SPACE}[-–—]"
    rf"|第{_SPACE}\d+{_SPACE}[页頁]"
)
_PAGE_NUMBER = re.compile(_TOLD, re.IGNORECASE)
# What comes first is looked at alone, since few lines begin so.
_LINE = re.compile(rf"^{_SPACE}+(?=[psbс第\d–—-])({_TOLD}){_SPACE}\n", re.IGNORECASE | re.MULTILINE)
_BARE = re.compile(r"\d{1,5}")
_LONGEST = 32


def is_page_number(line: str) -> bool:
    """Whether a line without white space around it says that it is the number of a page, as `Page 3 of 10` does."""
    return len(line) <= _LONGEST and _PAGE_NUMBER.fullmatch(line) is not None


def page_number_lines(text: str) -> Iterator[re.Match[str]]:
    """Such lines of a text, with their line feeds; group 1 is what is said."""
    return (found for found in _LINE.finditer(text) if len(found[1]) <= _LONGEST)


def bare_number(line: str) -> int | None:
    """The number that a line consists of: of a page, a table's cell, or anything."""
    return int(line) if _BARE.fullmatch(line) else None
