"""HTML to text: what a reader of the page would see, in lines and paragraphs.

One regular expression cuts the page into tags and text, by the tokenisation rules of the HTML standard as far as text
is concerned. Every alternative consumes what it looked at, so that time is linear for any input, and no tree is
built that could be too deep; the parsers of the standard library and of lexbor take quadratic time on a few kilobytes
of unclosed or deeply nested tags. The text between tags is then put together in whole-page operations: tags that
matter become marks (control characters, which HTML cannot contain), and each run of marks becomes one break.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from loresmith.data.decoding import decode
from loresmith.data.readers.complaint import complaint
from loresmith.data.readers.record import ReadingRules, Record, Refused, metadata_json

_ATTRIBUTES = r"""(?:[^=>]++|=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))?+)*+(?:>|\Z)"""  # quotes count after = only
_DROPPED = "iframe|noembed|noframes|script|style|xmp"
_SPLIT = re.compile(
    rf"""<(?:
        (?:({_DROPPED}|title|textarea)(?=[\s/>])) {_ATTRIBUTES} (.*?)(?:(?=</\1[\s/>])|\Z)  # raw text up to its end tag
      | (/?[a-z][^\s/>]*+) {_ATTRIBUTES}
      | !--(?:>|->|.*?(?:--!?>|\Z))                                                         # a comment
      | [!?/][^>]*+(?:>|\Z)                                                                 # doctype, nonsense
    )""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
).split
_DECLARED = re.compile(
    rb"""<(?:meta\b[^>]{0,200}?charset|\?xml\b[^>]{0,200}?encoding)\s*=\s*["']?\s*([-\w.:]+)""", re.IGNORECASE
)
_LANGUAGE = re.compile(r"""<html\b[^>]{0,2000}?\slang\s*=\s*["']?([a-z][-a-z0-9]{0,34})""", re.IGNORECASE)
_WINDOWS = {"ascii", "us-ascii", "iso-8859-1", "iso8859-1", "latin1", "latin-1"}

_INDENT, _LINE, _BLOCK, _CELL, _NO_PREFIX, _PREFIX, _PREFIX_END, _PRE, _SECTION, _ROW = "\1\2\3\4\5\6\7\x08\x0e\x0f"
_OUR_MARKS = re.compile("[\x01-\x08\x0e\x0f]")
_MARK = f"(?:[{_LINE}{_BLOCK}{_CELL}{_NO_PREFIX}{_SECTION}{_ROW}]|{_PREFIX}[^{_PREFIX_END}]*+{_PREFIX_END})"
_RUN = re.compile(f"(?: ?{_MARK})+ ?")
_RUN_IN_PRE = re.compile(f"{_MARK}+")
_NAMES = {
    _LINE: "br dd dt figcaption legend option summary",
    _ROW: "li tbody tfoot thead tr",
    _CELL: "td th",
    _BLOCK: "address article aside blockquote center div fieldset figure footer form header main nav p section",
    _SECTION: "body caption details dialog dir dl h1 h2 h3 h4 h5 h6 head hr html menu ol pre table ul",
}
_MARKS = {slash + name: mark for mark, names in _NAMES.items() for name in names.split() for slash in ("", "/")}
_MARKS |= {"/td": " ", "/th": " "}
_MARKS |= {f"h{level}": f"{_SECTION}{_PREFIX}{'#' * level}{_PREFIX_END}" for level in range(1, 7)}
_MARKS |= {f"/h{level}": _NO_PREFIX + _SECTION for level in range(1, 7)}
_LISTS = {"ol", "ul", "menu", "dir"}
_SPECIAL = {slash + name for name in (*_LISTS, "li", "pre", "template") for slash in ("", "/")}
_DEEPEST = 8
"""Levels of lists that are indented; without a limit, a page of nested lists would grow with its square."""


def read_html(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """One record with the visible text; the page's title and the language it says it is in are in its metadata."""
    page = decode(data, rules.encodings, _declared_encoding(data))
    try:
        text, title = html_to_text(page)
    except ValueError as error:
        yield Refused("malformed", complaint(error), len(data))
        return
    language = _LANGUAGE.search(page, 0, 65536)
    found = {"title": title, "language": language[1] if language else ""}
    yield Record(text, len(data), metadata=metadata_json({key: value for key, value in found.items() if value}))


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

    Blocks become paragraphs with an empty line between them, headings begin with `#` as in Markdown, rows and items
    become lines (`- `, or `1. ` in ordered lists, indented by level), cells are separated by tabs, and white space is
    kept in `pre` alone. Scripts, styles and templates are no text.

    Raises:
        ValueError: a character reference has more than 4,300 digits.
    """
    cut = _SPLIT(_OUR_MARKS.sub(" ", page))
    texts, raw_names, raw_texts = cut[0::4], cut[1::4], cut[2::4]
    names = [name.lower() if name else "" for name in cut[3::4]]
    texts = [html.unescape(text) if "&" in text else text for text in texts]
    marks = [_MARKS.get(name, "") for name in names]
    title = ""
    for at, raw_name in enumerate(raw_names):
        if raw_name and (kind := raw_name.lower()) not in _DROPPED:
            if kind == "textarea":
                marks[at] = html.unescape(raw_texts[at])
            else:
                title = title or " ".join(html.unescape(raw_texts[at]).split())
    kept = _special(names, texts, marks)
    parts = [""] * (2 * len(texts) - 1)
    parts[0::2], parts[1::2] = texts, marks
    text = _RUN.sub(_break, " ".join("".join(parts).split()))
    around = text.strip("\n\t ").split(_PRE)
    text = around[0] + "".join(block + after for block, after in zip(kept, around[1:], strict=True))
    return (f"{text}\n" if text else ""), title


def _special(names: list[str], texts: list[str], marks: list[str]) -> list[str]:
    """What depends on what is around it: numbers and levels of items, templates, and `pre`, whose texts it returns.

    `names[i]` and `marks[i]` stand between `texts[i]` and `texts[i + 1]`. Marks are changed; what is in a template or
    in `pre` is blanked.
    """
    lists: list[int] = []  # of each open list its last number, or -1 if it is not ordered
    kept: list[str] = []
    depth, since, inside = 0, 0, ""
    specials = [at for at, name in enumerate(names) if name in _SPECIAL]
    for at in specials:
        name = names[at].removeprefix("/")
        ends = name != names[at]
        if inside:
            depth += (-1 if ends else 1) if name == inside else 0
            if depth == 0:
                _take_out(inside, since, at, texts, marks, kept)
                inside = ""
        elif name in ("pre", "template"):
            if not ends:
                depth, since, inside = 1, at, name
        elif name == "li":
            marks[at] = _NO_PREFIX + _ROW if ends else _ROW + _PREFIX + _item(lists) + _PREFIX_END
        elif ends:
            if lists:
                lists.pop()
            marks[at] = _ROW if lists else _SECTION
        else:
            marks[at] = _ROW if lists else _SECTION
            lists.append(0 if name == "ol" else -1)
    if inside:
        _take_out(inside, since, len(marks), texts, marks, kept)
    return kept


def _item(lists: list[int]) -> str:
    if not lists:
        return "-"
    if lists[-1] >= 0:
        lists[-1] += 1
    return _INDENT * min(len(lists) - 1, _DEEPEST) + ("-" if lists[-1] < 0 else f"{lists[-1]}.")


def _take_out(name: str, since: int, until: int, texts: list[str], marks: list[str], kept: list[str]) -> None:
    """Blank what stands between two tags; that of a `pre` is kept aside, with its white space."""
    if name == "pre":
        parts = [""] * (2 * (until - since) - 1)
        parts[0::2], parts[1::2] = texts[since + 1 : until + 1], marks[since + 1 : until]
        block = _RUN_IN_PRE.sub(_break_in_pre, "".join(parts)).strip("\n")
        if block.strip():
            kept.append(block)
            marks[since] = _SECTION + _PRE + _SECTION
    else:
        marks[since] = ""
    texts[since + 1 : until + 1] = [""] * (until - since)
    marks[since + 1 : until] = [""] * (until - since - 1)


def _break_in_pre(run: re.Match[str]) -> str:
    cells = run[0].count(_CELL)
    return "\n" if set(run[0]) & set(_LINE + _BLOCK + _SECTION + _ROW) else "\t" * cells


def _break(run: re.Match[str]) -> str:
    """The strongest break that a run of marks asks for, and the last prefix (of an item or heading) still open."""
    found = run[0]
    prefix = found.rpartition(_NO_PREFIX)[2].rpartition(_PREFIX)[2].partition(_PREFIX_END)
    line = max(found.rfind(_SECTION), found.rfind(_ROW))
    cells = found.count(_CELL, line + 1)
    if line >= 0:
        separator = ("\n\n" if _SECTION in found else "\n") + "\t" * (cells - 1)  # those before were empty
    elif cells:
        separator = "\t" * cells
    else:
        separator = "\n\n" if _BLOCK in found else "\n" if _LINE in found else " "
    return separator + (prefix[0].replace(_INDENT, "  ") + " " if prefix[1] else "")
