"""Every character of a document leads back to the pages and bytes that it was read from, whatever rules did to it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.edited_text import Edit, EditedText
from loresmith.data.places import Places, place_of

FIRST_BYTE = 1000


def row_of(original: str, pages: list[int], edited: EditedText | None = None, **changes: Any) -> dict[str, Any]:
    """A document; `pages` are the characters at which pages 1, 2 ... begin."""
    begins = [{"number": number, "start": len(original[:at].encode())} for number, at in enumerate(pages, 1)]
    return {
        "path": "handbook.pdf",
        "text": edited.text if edited else original,
        "media_type": "text/plain",
        "source_start": FIRST_BYTE,
        "source_bytes": len(original.encode()),
        "pages": begins,
        "pieces": [vars(piece) for piece in edited.pieces] if edited else [],
        **changes,
    }


def test_a_span_over_a_page_border_is_on_both_pages() -> None:
    row = row_of("äbcdef", [0, 3, 5])
    assert place_of(row, 0, 3).pages == (1,)
    assert place_of(row, 2, 4).pages == (1, 2)
    assert place_of(row, 0, 6).pages == (1, 2, 3)
    assert (place_of(row, 1, 2).start, place_of(row, 1, 2).end) == (FIRST_BYTE + 2, FIRST_BYTE + 3)


def test_what_stands_before_the_first_page_is_on_none() -> None:
    assert place_of(row_of("abcdef", [3]), 0, 2).pages == ()
    assert place_of(row_of("abcdef", [3]), 2, 4).pages == (1,)


def test_a_cut_over_a_page_border_leaves_what_follows_on_its_page() -> None:
    original = "äone|äfurniture|ätwo"
    cut = Edit(4, 16, "", "repeated line")
    edited = EditedText.of(original).apply([cut])
    row = row_of(original, [0, 5, 16], edited)
    edits = [{"start": 4, "before_bytes": len(original[4:16].encode())}]
    assert place_of(row, 0, 4, edits).pages == (1,)
    after = place_of(row, 4, 8, edits)
    assert (after.pages, after.exact) == ((3,), True)
    encoded = original.encode()
    assert encoded[after.start - FIRST_BYTE : after.end - FIRST_BYTE].decode() == "ätwo"
    assert place_of(row, 3, 5, edits).pages == (1, 2, 3)


def test_what_is_not_a_copy_of_its_file_has_the_whole_records_bytes() -> None:
    for changes in ({"media_type": "text/html"}, {"media_type": "application/pdf"}, {"source_bytes": 70}):
        place = place_of(row_of("abcdef", [], **changes), 2, 3)
        assert not place.exact
        assert (place.start, place.end - place.start) == (FIRST_BYTE, changes.get("source_bytes", 6))


def test_a_span_outside_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match="3 to 9 of a text that has 6"):
        place_of(row_of("abcdef", []), 3, 9)


def test_page_borders_are_where_other_pages_begin() -> None:
    assert Places(row_of("äbcdef", [0, 3, 5])).page_borders() == [3, 5]
    assert Places(row_of("abcdef", [2, 2, 6])).page_borders() == [2]
    edited = EditedText.of("äone|äfurniture|ätwo").apply([Edit(4, 16, "", "repeated line")])
    edits = [{"start": 4, "before_bytes": 13}]
    assert Places(row_of("äone|äfurniture|ätwo", [0, 5, 16], edited), edits).page_borders() == [4]


@st.composite
def edited_documents(draw: st.DrawFn) -> tuple[str, list[int], list[list[Edit]]]:
    original = draw(st.text(st.sampled_from("aé€𝄞\n"), min_size=1, max_size=30))
    pages = sorted(draw(st.sets(st.integers(0, len(original)), max_size=4)))
    stages = []
    length = len(original)
    for _ in range(draw(st.integers(0, 3))):
        cuts = sorted(draw(st.sets(st.integers(0, length), max_size=6)))
        edits = [
            Edit(start, end, draw(st.sampled_from(["", "[x]", "é"])), "rule")
            for start, end in zip(cuts[::2], cuts[1::2], strict=False)
        ]
        stages.append(edits)
        length += sum(len(edit.text) - (edit.end - edit.start) for edit in edits)
    return original, pages, stages


@settings(max_examples=300, deadline=None)
@given(edited_documents())
def test_every_character_that_is_left_leads_back_to_its_own_byte(
    document: tuple[str, list[int], list[list[Edit]]],
) -> None:
    original, pages, stages = document
    edited = EditedText.of(original)
    origins: list[int | None] = list(range(len(original)))
    rows = []
    for stage in stages:
        for edit in stage:
            gone = [origin for origin in origins[edit.start : edit.end] if origin is not None]
            start, _ = edited.original(edit.start, edit.end)
            rows.append({"start": start, "before_bytes": sum(len(original[origin].encode()) for origin in gone)})
        for edit in reversed(stage):
            origins[edit.start : edit.end] = [None] * len(edit.text)
        edited = edited.apply(stage)
    assert all(each is None or original[each] == edited.text[at] for at, each in enumerate(origins))
    if not edited.pieces:
        return  # nothing is left to lead back
    row = row_of(original, pages, edited)
    for at, origin in enumerate(origins):
        if origin is None:
            continue
        place = place_of(row, at, at + 1, rows)
        before = len(original[:origin].encode())
        assert (place.start, place.end) == (FIRST_BYTE + before, FIRST_BYTE + before + len(original[origin].encode()))
        here = max((number for number, begin in enumerate(pages, 1) if begin <= origin), default=None)
        assert place.pages == (() if here is None else (here,))
    borders = [0, *Places(row, rows).page_borders(), len(origins)]
    for begin, end in pairwise(borders):
        on = {place_of(row, at, at + 1, rows).pages for at in range(begin, end) if origins[at] is not None}
        assert len(on) <= 1
