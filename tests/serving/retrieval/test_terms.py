"""What a question says is found however it is written."""

from __future__ import annotations

import pytest

from loresmith.serving.retrieval.terms import LONGEST, terms_of


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("max tokens", "max_new_tokens"),
        ("new", "maxNewTokens = 3"),
        ("http server", "HTTPServer"),
        ("STRASSE", "Straße"),
        ("ﬁlter", "FILTER"),
        ("ABC１２３", "abc123"),
        ("日本", "これは日本語です"),
        ("max_new_tokens", "the max_new_tokens of a request"),
        ("valve", "the valve日"),
    ],
)
def test_it_is_found(asked: str, written: str) -> None:
    assert set(terms_of(asked)) <= set(terms_of(written))


def test_a_name_is_more_than_its_parts() -> None:
    assert terms_of("read_file") == ["read_file", "read", "file"]
    assert terms_of("Read FILE 2a") == ["read", "file", "2a"]


def test_terms_have_bounds() -> None:
    assert max(map(len, terms_of("x" * 10_000 + " Y" + "aB" * 9_000))) == LONGEST
