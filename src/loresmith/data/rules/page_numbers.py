"""Lines that say nothing but the number of a page."""

from __future__ import annotations

import re

_WORDS = "page|pg|seite|s|página|pagina|pag|pág|p|blatt|bladzijde|sida|side|sivu|strona|str|стр|страница|第"
_NUMBER = r"(?:\d{1,5}|[ivxlc]{1,7})"
_OF = "of|von|de|di|van|av|af|sur|z|из|/|共"
_PAGE_NUMBER = re.compile(
    rf"(?:{_WORDS})\.?\s*{_NUMBER}(?:\s*(?:{_OF})\s*{_NUMBER})?\.?|\d{{1,5}}\s*(?:of|von|sur|из)\s*\d{{1,5}}"
    rf"|[-–—]\s*{_NUMBER}\s*[-–—]|第\s*\d+\s*[页頁]",
    re.IGNORECASE,
)
_BARE = re.compile(r"\d{1,5}")
_LONGEST = 32


def is_page_number(line: str) -> bool:
    """Whether a line without white space around it says that it is the number of a page, as `Page 3 of 10` does."""
    return len(line) <= _LONGEST and _PAGE_NUMBER.fullmatch(line) is not None


def bare_number(line: str) -> int | None:
    """The number that a line consists of: of a page, a table's cell, or anything."""
    return int(line) if _BARE.fullmatch(line) else None
