"""LaTeX: the text as its author wrote it, less the preamble, comments and what only lays out pages.

Sections, lists, tables, references and mathematics stay as they are written, since there is no shorter way to say
them; accents become letters. Nothing is included from other files and no macro is expanded.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from loresmith.data.decoding import decode
from loresmith.data.readers.record import ReadingRules, Record, metadata_json

_INPUTENC = re.compile(
    rb"\\usepackage\s*\[\s*([-\w]+)\s*\]\s*\{inputenc\}|^%.{0,40}?coding\s*[:=]\s*([-\w]+)", re.MULTILINE
)
_ENCODINGS = {"latin1": "cp1252", "ansinew": "cp1252", "utf8": "utf-8", "utf8x": "utf-8", "latin9": "iso-8859-15"}
_ENCODINGS |= {"latin2": "iso-8859-2", "latin5": "iso-8859-9", "applemac": "mac-roman", "cp437de": "cp437"}
_VERBATIM = re.compile(
    r"\\begin\{(verbatim\*?|Verbatim|lstlisting|minted|comment|filecontents\*?)\}.*?(?:\\end\{\1\}|\Z)", re.DOTALL
)
_LAYOUT = """maketitle tableofcontents listoffigures listoftables newpage clearpage cleardoublepage pagebreak linebreak
    noindent centering raggedright smallskip medskip bigskip vfill hfill frontmatter mainmatter backmatter appendix"""
_TOKEN = re.compile(
    rf"""
      (?P<kept> \\verb\*?(?P<quote>[^\w\s*])[^\n]{{0,500}}?(?P=quote)
         | \\(?:url|href|path)\s*\{{[^{{}}\n]*+\}} | \\[%\\] )
    | (?:^[ \t]*+)? % (?P<comment>[^\n]*+) (?P<end>\n|\Z)
    | \\(?P<accent>["'`^~]|[cvuHrk](?=[\s{{])) \s*+
      (?:\{{\s*\\?(?P<braced>[A-Za-z])\s*\}} | \\?(?P<bare>[A-Za-z])(?![A-Za-z]) | (?P<plain>[A-Za-z]))
    | \\(?P<letter>ss|ae|AE|oe|OE|aa|AA|o|O|l|L|i|j)(?![A-Za-z])(?:\{{\}}|\s+)?
    | \\(?:{"|".join(_LAYOUT.split())})(?![A-Za-z@])(?:\[\d*\])?
    | \\(?:label|vspace|hspace|pagestyle|thispagestyle|bibliographystyle|index|input|include
         |(?:setcounter|addtocounter|setlength)\{{[^{{}}\n]*+\}})\*?\s*+\{{[^{{}}\n]*+\}}
    """,
    re.VERBOSE | re.MULTILINE,
)
_COMBINING = dict(
    zip("\"'`^~cvuHrk", "\u0308\u0301\u0300\u0302\u0303\u0327\u030c\u0306\u030b\u030a\u0328", strict=True)
)
_LETTERS = {"ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "o": "ø", "O": "Ø"}
_LETTERS |= {"l": "ł", "L": "Ł", "i": "ı", "j": "ȷ"}
_LONGEST_TITLE = 1000


def read_latex(data: bytes, rules: ReadingRules) -> Iterator[Record]:
    """One record with the document's body, or all of a file that is part of a document; title and author are in its
    metadata. An encoding that `inputenc` declares is respected."""
    declared = _INPUTENC.search(data, 0, 65536)
    name = (declared[1] or declared[2]).decode().lower() if declared else None
    source = decode(data, rules.encodings, _ENCODINGS.get(name, name) if name else None).replace("\r\n", "\n")
    source = _cleaned(source)
    metadata = {key: told for key in ("title", "author") if (told := _argument(source, key))}
    preamble, begun, body = source.partition("\\begin{document}")
    text = (body if begun else preamble).partition("\\end{document}")[0]
    text = "\n".join(line.rstrip() for line in text.split("\n")).strip()
    text = re.sub(r"\n{3,}", "\n\n", text)
    yield Record(f"{text}\n" if text else "", len(data), metadata=metadata_json(metadata))


def _cleaned(source: str) -> str:
    parts, position = [], 0
    for verbatim in _VERBATIM.finditer(source):
        parts.append(_TOKEN.sub(_replaced, source[position : verbatim.start()]))
        if verbatim[1] not in ("comment", "filecontents", "filecontents*"):
            parts.append(verbatim[0])
        position = verbatim.end()
    parts.append(_TOKEN.sub(_replaced, source[position:]))
    return "".join(parts)


def _replaced(token: re.Match[str]) -> str:
    if token["kept"]:
        return token[0]
    if token["comment"] is not None:
        whole_line = token.start() == 0 or token.string[token.start() - 1] == "\n"
        return "" if whole_line else token["end"]
    if token["accent"]:
        letter = token["braced"] or token["bare"] or token["plain"]
        return unicodedata.normalize("NFC", letter + _COMBINING[token["accent"]])
    return _LETTERS[token["letter"]] if token["letter"] else ""


def _argument(source: str, command: str) -> str:
    """The argument of a command as words; empty if it has none."""
    found = re.search(rf"\\{command}\s*(?:\[[^\]\n]{{0,200}}\]\s*)?\{{", source)
    if not found:
        return ""
    depth, start = 1, found.end()
    for at in range(start, min(len(source), start + _LONGEST_TITLE)):
        depth += {"{": 1, "}": -1}.get(source[at], 0)
        if depth == 0:
            words = re.sub(r"\\\\|~", " ", source[start:at])
            return " ".join(re.sub(r"\\[A-Za-z]+\*?|[{}]", "", words).split())
    return ""
