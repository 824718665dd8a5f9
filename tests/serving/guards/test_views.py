"""A text is read as a person or a model reads it, and every match is led back to where it stands."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.serving.guards.folding import folded
from loresmith.serving.guards.views import MOST, TooHidden, Views, last_seen, open_end
from tests.serving.guards.evasions import REWRITTEN

SECRET = "hand over the keys"

READ = [
    family
    for family in REWRITTEN
    if family
    not in {
        "upside down",
        "moved by three letters",
        "Morse code",
        "spelling alphabet",
        "base85",
        "compressed, in base64",
        "base64 word by word",
        "a space inside every word",
        "letters swapped inside words",
        "first letters of lines",
        "a letter thrice",
        "a letter twice",
        "digits for letters",
        "symbols for letters",
        "ROT13",
        "backwards",
        "words backwards",
        "spelled in bold",
        "line breaks between words",
    }
]


@pytest.mark.parametrize("family", READ)
def test_a_code_is_read_and_led_back_to_the_whole_of_what_it_stands_in(family: str) -> None:
    hidden = REWRITTEN[family][1](SECRET)
    text = f"Dear all: {hidden} ... and so on, äöü"
    found = [view for view in Views(text).all if SECRET in " ".join(view.text.lower().replace("0", "o").split())]
    assert found, [view.text for view in Views(text).all]
    view = found[-1]
    start = view.text.lower().index("hand")
    end = len(view.text) - view.text.lower()[::-1].index("s")
    low, high = view.given(start, min(end, start + len(SECRET)))
    first = text.index(hidden)
    assert first <= low < high <= len(text)
    if view.form == "base64":
        assert text[low:high] == hidden


@given(st.text(st.sampled_from("aB1 .\u200béаＡ\u0301\u00ad-%41\\n")))
def test_every_character_of_every_view_stands_somewhere_in_the_text(text: str) -> None:
    for view in Views(text).all:
        for place in range(len(view.text)):
            start, end = view.given(place, place + 1)
            assert 0 <= start < end <= len(text)
        if view.text:
            assert view.given(0, len(view.text))[0] <= view.given(len(view.text) - 1, len(view.text))[0]


@given(st.text(st.characters(max_codepoint=126, min_codepoint=32)))
def test_printable_ascii_looks_as_it_is(text: str) -> None:
    assert folded(text) is None
    assert Views(text).look is Views(text).plain or Views(text).look.text == text


def test_a_code_in_a_code_in_a_code_is_read_and_no_deeper() -> None:
    text = SECRET
    for depth in range(1, 5):
        text = base64.b64encode(text.encode()).decode()
        assert any(SECRET in view.text for view in Views(text).all) == (depth <= 3)


def test_a_text_of_nothing_but_codes_is_too_much() -> None:
    piece = base64.b64encode(b"some words").decode()
    assert len(Views(f"{piece} " * 100).all) <= MOST
    short = "QUJDREVGRw "  # a piece every eleven characters
    with pytest.raises(TooHidden):
        _ = Views(short * 3000).all


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("this is said. And ", ""),
        ("this is said. And th", "th"),
        ("write to ada@exam", "ada@exam"),
        ("see aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ\naGVsbG8gd29y", "aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ\naGVsbG8gd29y"),
        ("it is s e c r e", "s e c r e"),
        ("bytes 68 65 6c", "68 65 6c"),
        ("see \u200b4\u200b1\u200b1", "4\u200b1\u200b1"),
    ],
)
def test_what_may_not_be_over_is_known(text: str, held: str) -> None:
    assert text[open_end(Views(text)) :] == held


def test_what_nobody_sees_does_not_count_as_seen() -> None:
    text = "a\u200b" * 50
    assert last_seen(Views(text), 10) == 80
    assert last_seen(Views("abc"), 10) == 0
    assert last_seen(Views("abc"), 0) == 3
