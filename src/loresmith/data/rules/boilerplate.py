"""Lines that many documents begin or end with: banners, imprints, disclaimers, notices of confidentiality.

Only paragraphs go, not lines out of one: a paragraph goes if each of its lines, long or short, is in too many documents
and one of them is long enough to be no heading. Numbers count, or the titles of release notes would be boilerplate.

In two passes: `line_keys` gives the keys of a document's lines that may be boilerplate; who has counted in how many
documents each is builds `BoilerplateLines` of those that are in too many, and it cuts them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loresmith.data.edited_text import Edit
from loresmith.data.rules.finding import Finding, Pages
from loresmith.data.rules.source_documents import is_source_code
from loresmith.data.rules.text_lines import Line, border_lines

NEAR = 12
"""How many lines with ink from the beginning or the end of a document, or of a page, are looked at."""
SHORTEST, LONGEST, WORDS = 20, 400, 4
"""Characters, and words, of a line for which a paragraph is looked at. Shorter ones, such as `SEE ALSO`, are headings;
they count beside such a line."""


@dataclass(frozen=True)
class LineKeys:
    """Lines that may be boilerplate; legend: N lines.

    Attributes:
        keys: (N,) hashes of the lines, without regard to case and white space; the same line has the same key on every
            machine.
        starts, ends: (N,) its first character, and the one after its line feed.
    """

    keys: NDArray[np.uint64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def line_keys(text: str, pages: Pages = ()) -> LineKeys:
    """The keys of lines near the borders of a document, or of its pages, that may be boilerplate, and of those that
    stand in one paragraph with one."""
    found = {line.start: line for line in border_lines(text, NEAR, _parts(text, pages)) if _is_candidate(line)}
    for paragraph in _paragraphs(text, pages) if found else ():
        if any(line.start in found for line in paragraph):
            found.update({line.start: line for line in paragraph})
    lines = [found[start] for start in sorted(found)]
    return LineKeys(
        np.fromiter(map(_key, lines), dtype=np.uint64, count=len(lines)),
        np.fromiter((line.start for line in lines), dtype=np.int64, count=len(lines)),
        np.fromiter((line.end for line in lines), dtype=np.int64, count=len(lines)),
    )


class BoilerplateLines:
    """Cuts lines by their keys.

    | score | what it is |
    | --- | --- |
    | `boilerplate_characters` | characters that are cut, of all of the text's |
    | `boilerplate_paragraphs` | paragraphs that are cut, a count |

    In source code nothing is cut: files that import the same are no copies.
    """

    name = "boilerplate"

    def __init__(self, keys: Set[int]) -> None:
        self._keys = keys

    def look(self, text: str, language: str, media_type: str, pages: Pages) -> Finding:
        if is_source_code(language, media_type):
            return Finding()
        edits = tuple(
            Edit(paragraph[0].start, paragraph[-1].end, "", self.name)
            for paragraph in (_paragraphs(text, pages) if self._keys else ())
            if self._known(paragraph)
        )
        characters = sum(edit.end - edit.start for edit in edits)
        scores = {"boilerplate_characters": characters / max(1, len(text)), "boilerplate_paragraphs": float(len(edits))}
        return Finding(scores, (), edits)

    def _known(self, paragraph: list[Line]) -> bool:
        return any(map(_is_candidate, paragraph)) and all(_key(line) in self._keys for line in paragraph)


def _parts(text: str, pages: Pages) -> list[tuple[int, int]]:
    starts = [start for _, start in pages] or [0]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def _paragraphs(text: str, pages: Pages) -> Iterator[list[Line]]:
    """The paragraphs that are near the borders as a whole."""
    parts = _parts(text, pages)
    borders = {border for part in parts for border in part}
    paragraph: list[Line] = []
    for line in border_lines(text, NEAR, parts):
        if paragraph and paragraph[-1].end == line.start and line.start not in borders:
            paragraph.append(line)
            continue
        if paragraph and _ends(text, paragraph, borders):
            yield paragraph
        begins = line.start in borders or not text[text.rfind("\n", 0, line.start - 1) + 1 : line.start].strip()
        paragraph = [line] if begins else []
    if paragraph and _ends(text, paragraph, borders):
        yield paragraph


def _ends(text: str, paragraph: list[Line], borders: set[int]) -> bool:
    end = paragraph[-1].end
    after = text.find("\n", end)
    return end in borders or not text[end : len(text) if after < 0 else after].strip()


def _is_candidate(line: Line) -> bool:
    return SHORTEST <= len(line.text) <= LONGEST and len(line.text.split(None, WORDS - 1)) == WORDS


def _key(line: Line) -> int:
    folded = " ".join(line.text.lower().split())
    return int.from_bytes(hashlib.blake2b(folded.encode(), digest_size=8).digest(), "little")
