"""Digits that may be one number are one run; columns of a table are not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.data.privacy.digit_groups import DigitGroups


@given(st.text("019 .-ax(", max_size=20), st.sampled_from((0, 2000)))
def test_groups_are_where_a_pattern_finds_them(text: str, blanks: int) -> None:
    text += " " * blanks  # long texts are looked at in another way
    groups = DigitGroups(text.encode())
    found = [match.span() for match in re.finditer("[0-9]+", text)]
    assert list(zip(groups.starts.tolist(), groups.ends.tolist(), strict=True)) == found
    lengths, _, following = groups.shapes
    assert lengths.tolist() == [end - start for start, end in found]
    nexts = [*found, (-1, -1)][1:] if found else []
    expected = [after - begin if begin == end + 1 else 0 for (_, end), (begin, after) in zip(found, nexts, strict=True)]
    assert following.tolist() == expected


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("tel 030 / 123 45 67 now", ["030 / 123 45 67"]),
        ("+49 (0)30 12345", ["49 (0)30 12345"]),
        ("12.50  13.75  14.25", []),
        ("123456  123457", ["123456", "123457"]),
        ("65 170839 j 003", ["65 170839 j 003"]),
        ("12345, 12345", []),
        ("", []),
    ],
)
def test_runs(text: str, runs: list[str]) -> None:
    assert [text[start:end] for start, end in DigitGroups(text.encode()).runs] == runs
