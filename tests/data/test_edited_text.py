"""Whatever rules do to a text, each part that is left knows where it stood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.data.edited_text import Edit, EditedText


@st.composite
def edits_of(draw: st.DrawFn, length: int) -> list[Edit]:
    cuts = sorted(draw(st.lists(st.integers(0, length), max_size=8)))
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    return [Edit(start, end, draw(st.text("xyz", max_size=3)), "rule") for start, end in pairs]


@given(st.text("abcd", max_size=30), st.data())
def test_every_piece_says_the_same_in_both_texts(text: str, data: st.DataObject) -> None:
    edited, expected = EditedText.of(text), text
    for _ in range(3):
        edits = data.draw(edits_of(len(expected)))
        edited = edited.apply(edits)
        for edit in reversed(edits):
            expected = expected[: edit.start] + edit.text + expected[edit.end :]
        assert edited.text == expected
    assert [piece.at for piece in edited.pieces] == sorted(piece.at for piece in edited.pieces)
    for piece in edited.pieces:
        assert edited.text[piece.at : piece.at + piece.length] == text[piece.start : piece.start + piece.length]
        assert edited.original(piece.at, piece.at + piece.length) == (piece.start, piece.start + piece.length)


def test_what_was_put_in_came_of_what_stood_there() -> None:
    edited = EditedText.of("Ada's key is 1234.").apply(
        [Edit(0, 3, "[NAME]", "privacy"), Edit(13, 17, "[KEY]", "privacy")]
    )
    assert edited.text == "[NAME]'s key is [KEY]."
    assert edited.original(0, 6) == (0, 3)
    at = edited.text.index("[KEY]")
    assert edited.original(at, at + 5) == (13, 17)
    assert edited.original(at - 3, at + 6) == (10, 18)


def test_edits_that_overlap_or_lie_outside_are_refused() -> None:
    for edits in ([Edit(0, 2, "", ""), Edit(1, 3, "", "")], [Edit(2, 9, "", "")], [Edit(2, 1, "", "")]):
        with pytest.raises(ValueError, match="overlaps another or lies outside"):
            EditedText.of("abcd").apply(edits)
