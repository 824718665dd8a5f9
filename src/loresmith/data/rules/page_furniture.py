"""Headers, footers and page numbers: lines that pages begin or end with again and again.

A line is furniture if it stands at the same border, no deeper than the third line, of at least 3 pages out of 6 that
follow one another (a chapter's header changes with the chapter, and left pages may differ from right ones), numbers
not counting, and only other furniture stands between it and the border. A bare number is furniture if it counts the
pages: on 3 pages out of 6 it is ahead of the page's number by the same. The first header or footer of a kind stays, as
it may say what the document is; page numbers all go.

| score | what it is |
| --- | --- |
| `furniture_characters` | characters that are cut, of all of the text's |
| `furniture_lines` | lines that are cut, a count |

In a text without pages only lines that count them are cut: three or more of one form, such as `Page 3 of 10`, of which
each has the number after that of the one before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loresmith.data.edited_text import Edit
from loresmith.data.rules.finding import Finding, Pages
from loresmith.data.rules.page_numbers import bare_number, counted_pages, is_page_number
from loresmith.data.rules.source_documents import is_source_code
from loresmith.data.rules.text_lines import Line, first_lines, last_lines

DEPTH = 3
_LONGEST = 200  # a longer line at a border is a paragraph of the text
_PAGES, _OF = 3, 6


@dataclass(frozen=True)
class _Border:
    """A page's lines from one of its borders inwards, and the pages' numbers from 0 on."""

    page: int
    top: bool
    lines: Sequence[Line]


class PageFurniture:
    """Cuts headers, footers and page numbers."""

    name = "page_furniture"

    def look(self, text: str, language: str, media_type: str, pages: Pages) -> Finding:
        if is_source_code(language, media_type):
            return Finding()
        cut = {line.start: line for line in (_of_pages(text, pages) if len(pages) > 1 else _alone(text))}
        lines = [cut[start] for start in sorted(cut)]
        edits = tuple(Edit(line.start, line.end, "", self.name) for line in lines)
        characters = sum(edit.end - edit.start for edit in edits)
        scores = {"furniture_characters": characters / max(1, len(text)), "furniture_lines": float(len(edits))}
        return Finding(scores, (), edits)


def _alone(text: str) -> Iterator[Line]:
    """Lines that count pages, but for one that begins or ends the text."""
    return (Line(start, end, said) for start, end, said in counted_pages(text) if start)


def _of_pages(text: str, pages: Pages) -> Iterator[Line]:
    borders = list(_borders(text, pages))
    seen: dict[tuple[bool, str | int], list[int]] = defaultdict(list)
    for border in borders:
        for kind in {_kind(line, border) for line in border.lines}:
            seen[border.top, kind].append(border.page)
    furniture = {kind: _near_others(on) for kind, on in seen.items()}
    told: set[str | int] = set()
    for border in borders:
        for line in border.lines:
            kind = _kind(line, border)
            number = is_page_number(line.text)
            if len(line.text) > _LONGEST or not (number or border.page in furniture[border.top, kind]):
                break
            if number or isinstance(kind, int) or kind in told:
                yield line
            told.add(kind)


def _borders(text: str, pages: Pages) -> Iterator[_Border]:
    starts = [start for _, start in pages]
    for page, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True)):
        top = first_lines(text, DEPTH, start, end)
        bottom = last_lines(text, DEPTH, start, end)
        yield _Border(page, True, top)
        yield _Border(page, False, [line for line in reversed(bottom) if not top or line.start > top[-1].start])


def _kind(line: Line, border: _Border) -> str | int:
    """What makes it the same on another page; of a bare number by how much it is ahead of the page."""
    number = bare_number(line.text)
    return line.masked if number is None else number - border.page


def _near_others(pages: Sequence[int]) -> frozenset[int]:
    """Those of some ascending pages that have enough others near them."""
    near: set[int] = set()
    for place in range(len(pages) - _PAGES + 1):
        some = pages[place : place + _PAGES]
        if some[-1] - some[0] < _OF:
            near.update(some)
    return frozenset(near)
