"""HTML to text: what a reader of the page would see, in lines and paragraphs.

One regular expression cuts the page into tags, comments and text, by the tokenisation rules of the HTML standard
as far as text is concerned. Every alternative consumes what it looked at, so that time is linear for any input;
the parsers of the standard library and of lexbor take quadratic time on a few kilobytes of unclosed or deeply
nested tags.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from loresmith.data.decoding import decode
from loresmith.data.readers.record import ReadingRules, Record, Refused, metadata_json

_TOKEN = re.compile(
    r"""
    <!--(?:>|->|.*?(?:--!?>|\Z))                                          # a comment, or one that never ends
    | <(?P<end>/?)(?P<name>[a-z][^\s/>]*+)                                # a tag
      (?: [^=>]++ | =\s*+(?: "[^"]*+(?:"|\Z) | '[^']*+(?:'|\Z) )?+ )*+    # its attributes; quotes count after = only
      (?:>|\Z)
    | <[!?/][^>]*+(?:>|\Z)                                                # doctype, processing instruction, nonsense
    | (?P<text>[^<]++|<)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_DECLARED = re.compile(rb"""<meta\b[^>]{0,200}?charset\s*=\s*["']?\s*([-\w.:]+)""", re.IGNORECASE)
_WINDOWS = {"ascii", "us-ascii", "iso-8859-1", "iso8859-1", "latin1", "latin-1"}
_RAW = {"iframe", "noframes", "script", "style", "textarea", "title"}
_RAW_END = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _RAW}
_LINE = frozenset({"br", "dd", "dt", "figcaption", "legend", "li", "option", "summary", "tr"})
_PARAGRAPH = re.compile(
    "address|article|aside|blockquote|body|caption|details|dialog|div|dl|fieldset|figure|footer|form|h[1-6r]|head|header|"
    "html|main|menu|nav|ol|p|pre|section|table|tbody|tfoot|thead|ul"
)
_CELL = {"td", "th"}
_BREAKS = ("", " ", "\t", "\n", "\n\n")


def read_html(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """One record with the visible text; the page's title is in its metadata."""
    page = decode(data, rules.encodings, _declared_encoding(data))
    try:
        text, title = html_to_text(page)
    except ValueError as error:
        yield Refused("malformed", str(error), len(data))
        return
    yield Record(text, len(data), metadata=metadata_json({"title": title} if title else {}))


def _declared_encoding(data: bytes) -> str | None:
    """As the standard has it: Latin-1 means Windows-1252, and what can be read as ASCII is not UTF-16."""
    found = _DECLARED.search(data, 0, 4096)
    if not found:
        return None
    name = found[1].decode().lower()
    if name in _WINDOWS:
        return "cp1252"
    return None if name.startswith(("utf-16", "utf-32")) else name


def html_to_text(page: str) -> tuple[str, str]:
    """The visible text of a page and its title.

    Blocks become paragraphs with an empty line between them, rows and items become lines, cells are separated by
    tabs, and white space is kept in `pre` alone.

    Raises:
        ValueError: a character reference has more than 4,300 digits.
    """
    text = _Text()
    title = ""
    position = 0
    while token := _TOKEN.match(page, position):
        position = token.end()
        if token["text"]:
            text.add(html.unescape(token["text"]))
        if token["name"] is None:
            continue
        name, ends = token["name"].lower(), bool(token["end"])
        if name in _RAW and not ends:
            close = _RAW_END[name].search(page, position)
            content = page[position : close.start() if close else len(page)]
            position += len(content)
            if name == "title":
                title = title or " ".join(html.unescape(content).split())
            elif name == "textarea":
                text.add(html.unescape(content))
        else:
            text.tag(name, ends)
    return text.finish(), title


class _Text:
    """Collects words, and between them the strongest of the breaks that the tags ask for."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._break = 0
        self._bullet = ""
        self._open_pre = 0

    def add(self, text: str) -> None:
        if self._open_pre:
            self._put(text)
            return
        words = text.split()
        if text[0].isspace():
            self._ask(" ")
        if words:
            self._put(" ".join(words))
            if text[-1].isspace():
                self._ask(" ")

    def tag(self, name: str, ends: bool) -> None:
        if _PARAGRAPH.fullmatch(name):
            self._ask("\n\n")
        elif name in _LINE:
            self._ask("\n")
        elif name in _CELL:
            self._ask("\t")
        if name == "pre":
            self._open_pre = max(0, self._open_pre + (-1 if ends else 1))
        elif name == "li":
            self._bullet = "" if ends else "- "

    def finish(self) -> str:
        text = "".join(self._parts).strip("\n")
        return f"{text}\n" if text else ""

    def _ask(self, separator: str) -> None:
        self._break = max(self._break, _BREAKS.index(separator))

    def _put(self, text: str) -> None:
        if self._parts:
            self._parts.append(_BREAKS[self._break])
        self._parts += (self._bullet, text)
        self._break, self._bullet = 0, ""
