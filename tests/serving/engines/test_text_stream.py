"""Text as it becomes certain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loresmith.serving.engines.text_stream import TextStream
from tests.models.tiny_tokenizer import make_tokenizer

TOKENIZER = make_tokenizer()


@given(text=st.text(max_size=60))
def test_the_pieces_are_the_text_and_never_half_a_character(text: str) -> None:
    stream = TextStream(TOKENIZER)
    pieces = [stream.add(token) for token in TOKENIZER(text, add_special_tokens=False)["input_ids"]]
    assert "".join(pieces) + stream.end() == text
    assert not any("\ufffd" in piece for piece in pieces) or "\ufffd" in text


@given(
    text=st.text(alphabet="abcde é", max_size=60),
    stop=st.lists(st.text(alphabet="abcde é", min_size=1, max_size=4), max_size=3),
)
def test_nothing_of_a_stop_string_or_behind_it_is_told(text: str, stop: list[str]) -> None:
    stream = TextStream(TOKENIZER, stop)
    told = ""
    for token in TOKENIZER(text, add_special_tokens=False)["input_ids"]:
        told += stream.add(token)
        if stream.stopped_by is not None:
            break
    told += stream.end()
    _, first = min(
        ((text.index(one) + len(one), text.index(one)) for one in stop if one in text), default=(0, len(text))
    )
    assert told == text[:first]
    assert (stream.stopped_by is not None) == any(one in text for one in stop)


def test_bytes_that_make_no_character_are_told_at_the_end() -> None:
    ids = TOKENIZER("é", add_special_tokens=False)["input_ids"]
    stream = TextStream(TOKENIZER)
    assert stream.add(ids[0]) == ""
    assert stream.end() == "\ufffd"
