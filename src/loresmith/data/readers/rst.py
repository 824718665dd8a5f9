"""reStructuredText: read as it is written, less what is said to its tools alone.

Comments, the options of directives, targets of links within the document, and directives that only lay out, list or
configure are left out; all markup of the text itself stays, since it is light and carries meaning. Nothing is
included from other files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from loresmith.data.decoding import decode
from loresmith.data.readers.record import ReadingRules, Record, metadata_json

_DIRECTIVE = re.compile(r"\.\. +(?:\|[^|\n]+\| +)?([A-Za-z][\w:.+-]*?) ?::(?:\s|$)")
_KEPT = re.compile(r"\.\. +(?:\[[^\]]+\]|_[^:]*:\s*\S|_`|__ |\|)")  # footnotes, citations, links that lead outside
_OPTION = re.compile(r"\s+:[\w -]+:(?:\s|$)")
_TOOLS = {"contents", "toctree", "index", "highlight", "highlightlang", "raw", "meta", "include", "currentmodule"}
_TOOLS |= {"sectnum", "section-numbering", "default-role", "role", "class", "rst-class", "tabularcolumns"}
_TOOLS |= {"testsetup", "testcleanup", "header", "footer", "target-notes"}
_RULE = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*")
_DECLARED = re.compile(rb"\A\.\. +-\*- *coding: *([-\w.]+)")


def read_rst(data: bytes, rules: ReadingRules) -> Iterator[Record]:
    """One record; the first title of a section is its title."""
    declared = _DECLARED.match(data)
    lines = decode(data, rules.encodings, declared[1].decode() if declared else None).splitlines()
    title = _title(lines)
    text = "\n".join(_kept(lines)).strip("\n")
    text = re.sub(r"\n{3,}", "\n\n", text)
    yield Record(f"{text}\n" if text else "", len(data), metadata=metadata_json({"title": title} if title else {}))


def _title(lines: list[str]) -> str:
    for above, line in pairwise(lines):
        if (
            _RULE.fullmatch(line)
            and above.strip()
            and not _RULE.fullmatch(above)
            and len(line.rstrip()) >= len(above.strip())
        ):
            return above.strip()
    return ""


def _kept(lines: list[str]) -> Iterator[str]:
    dropping = -1  # what is indented further than this is left out
    options = False  # the lines after a directive may be its options
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if dropping >= 0 and (indent > dropping or not line.strip()):
            continue
        dropping = -1
        if options and _OPTION.match(line):
            continue
        options = False
        content = line[indent:]
        if content.startswith(".. ") or content.rstrip() in ("..", "__"):
            directive = _DIRECTIVE.match(content)
            if directive and directive[1] not in _TOOLS:
                options = True
            elif directive or not _KEPT.match(content):
                dropping = indent
                continue
        yield line.rstrip()
