"""A mark leads to the passage that was shown under it, and to none that was not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.serving.retrieval.citations import citations
from tests.serving.retrieval.test_prompt import passage

SHOWN = [passage(number, f"text {number}", f"{number}.pdf", (number,)) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("answer", "cited", "unknown"),
    [
        ("It is behind the panel [1].", [1], ()),
        ("Both say so [1][3], twice [1].", [1, 3, 1], ()),
        ("So it is [1, 2; 3].", [1, 2, 3], ()),
        ("All of them [1-3] and [2–3]", [1, 2, 3, 2, 3], ()),
        ("Notes [^2] and 【3】", [2, 3], ()),
        ("Made up [7], [2, 9], [4].", [2], (7, 9, 4)),
        ("From [2-900].", [2, 3], (900,)),
        ("In `x[1]` and\n```\ny[2]\n```\nbut [3]", [3], ()),
        ("Unclosed\n```\ny[2]", [], ()),
        ("[a] [] [1.5] (1) [-1]", [], ()),
        ("", [], ()),
    ],
)
def test_marks_are_led_back(answer: str, cited: list[int], unknown: tuple[int, ...]) -> None:
    found = citations(answer, SHOWN)
    assert [each.number for each in found.citations] == cited
    assert found.unknown == unknown
    for each in found.citations:
        assert (each.path, each.pages) == (f"{each.number}.pdf", (each.number,))
        assert str(each.number) in answer[each.answer_start : each.answer_end] or "-" in answer or "–" in answer


@given(st.text(st.sampled_from("[]^【】0123,;-– `a"), max_size=60))
def test_any_answer_is_read(answer: str) -> None:
    found = citations(answer, SHOWN)
    assert all(each.number in (1, 2, 3) for each in found.citations)
    assert not {1, 2, 3} & set(found.unknown)
