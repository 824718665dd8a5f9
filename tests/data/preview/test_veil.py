"""What a preview shows of texts: edits side by side, and nothing private in either of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.data.edited_text import Edit, EditedText
from loresmith.data.preview.veil import AROUND, LONGEST, Hidden, Veil, counterpart

ADA = "ada.lovelace@example.com"
VEIL = Veil(None)


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, list[Edit]]:
    """A text and edits of it; what they put there is in capitals, so that it is known again."""
    text = draw(st.text("abcdef", min_size=1, max_size=40))
    borders = sorted(draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=8, unique=True)))
    pairs = zip(borders[::2], borders[1::2], strict=False)
    return text, [Edit(start, end, draw(st.text("XYZ", max_size=3)), "rule") for start, end in pairs]


@given(edited())
def test_the_other_side_of_an_edit_is_what_it_put_there(given_: tuple[str, list[Edit]]) -> None:
    text, edits = given_
    after = EditedText.of(text).apply(edits)
    for edit in edits:
        low, high = counterpart(after, edit.start, edit.end)
        assert after.text[low:high] == edit.text
        assert len(text) - edit.end - len(after.text) + high == sum(
            other.end - other.start - len(other.text) for other in edits if other.start > edit.start
        )


def test_a_long_stretch_is_shown_by_its_beginning_with_a_little_around_it() -> None:
    text = "l" * 100 + "m" * 1000 + "r" * 100
    shown = VEIL.excerpt(text, 100, 1100)
    assert (shown.left, shown.text, shown.right) == ("l" * AROUND, "m" * LONGEST + "…", "r" * AROUND)


@pytest.mark.parametrize("start", range(20, 80, 3))
def test_what_reaches_into_a_stretch_is_hidden_in_every_part_of_it(start: int) -> None:
    text = f"{'word ' * 8}Ask {ADA} today. {'word ' * 20}"
    shown = VEIL.excerpt(text, start, start + 7)
    assert not any(part in f"{shown.left}|{shown.text}|{shown.right}" for part in ("ada", "lovelace", "example"))
    assert "[EMAIL]" in f"{shown.left}|{shown.text}|{shown.right}"


@given(st.integers(0, len(ADA)), st.integers(0, len(ADA)))
def test_half_of_what_was_cut_is_as_hidden_as_the_whole(start: int, end: int) -> None:
    before = f"Please ask {ADA} about the pump."
    first = before.index(ADA)
    low, high = first + min(start, end), first + max(start, end)
    after = EditedText.of(before).apply([Edit(low, high, "", "rule")])
    sides = VEIL.change(before, after, low, high)
    assert not any(part in str(sides) for part in ("love", "lace@", "exam", "ample"))


@pytest.mark.parametrize("broken", ["ada.lovelace\x07@example.com", "ada.love\u00adlace@exam\x00ple.com"])
def test_what_only_a_repair_would_show_is_hidden(broken: str) -> None:
    text = f"Ask {broken} about it."
    assert VEIL.beginning(text, 200) == "Ask [EMAIL] about it."
    assert "ada" not in VEIL.beginning(text, 8)


def test_what_curation_masks_is_hidden_though_nobody_else_would_find_it() -> None:
    before = "Ask Wintermute about it."
    after = EditedText.of(before).apply([Edit(4, 14, "[NAME]", "privacy: name")])
    old, new = VEIL.change(before, after, 4, 14, [Hidden(4, 14, "name")])
    assert (old.text, new.text) == ("[NAME]", "[NAME]")
    assert (old.left, old.right) == (new.left, new.right) == ("Ask ", " about it.")


def test_a_secret_in_the_middle_of_a_huge_text_is_found_near_what_is_shown() -> None:
    text = "word " * 100_000 + f"ask {ADA} now " + "word " * 100_000
    at = text.index(ADA)
    assert VEIL.excerpt(text, at - 10, at + 5).text.endswith("ask [EMAIL]")
