"""Passages cover a text, keep within pages and bounds, and end where the text does."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from loresmith.serving.retrieval.cutting import LONGEST_WORD, cut_passages

TEXTS = st.text(st.sampled_from("ab. \n日é"), max_size=200)


@given(TEXTS, st.integers(4, 20), st.integers(0, 2), st.sets(st.integers(1, 199), max_size=4))
def test_every_character_is_in_a_passage_and_none_crosses_a_border(
    text: str, words: int, overlap: int, borders: set[int]
) -> None:
    inside = sorted(border for border in borders if border < len(text))
    passages = list(cut_passages(text, words, overlap, inside))
    covered = {at for start, end in passages for at in range(start, end)}
    assert all(at in covered or text[at].isspace() for at in range(len(text)))
    for start, end in passages:
        assert not any(start < border < end for border in inside)
        assert not text[start].isspace()
        assert not text[end - 1].isspace()
        assert len(text[start:end].split()) <= words + words // 4
    assert all(one < other for one, other in pairwise(passages))


def test_an_overlap_stands_again_and_no_more() -> None:
    text = " ".join(f"w{number}" for number in range(100))
    cut = [text[start:end].split() for start, end in cut_passages(text, 30, 5)]
    assert all(one[-5:] == other[:5] for one, other in pairwise(cut))
    assert [word for passage in cut for word in passage[5:]] == text.split()[5:]


def test_passages_end_where_a_paragraph_or_else_a_sentence_does() -> None:
    text = "one two three four five six. seven\neight\n\nnine ten eleven twelve thirteen fourteen fifteen"
    assert next(text[start:end] for start, end in cut_passages(text, 9, 0)).endswith("eight")
    assert next(text[start:end] for start, end in cut_passages(text.replace("\n", " "), 7, 0)).endswith("six.")


def test_what_has_no_spaces_is_cut_all_the_same() -> None:
    for text, each in (("語" * 1000, 1), ("x" * 1000, LONGEST_WORD)):
        passages = list(cut_passages(text, 20, 0))
        assert max(end - start for start, end in passages) <= 25 * each
        assert (passages[0][0], passages[-1][1]) == (0, 1000)
