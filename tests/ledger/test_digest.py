"""The same content has the same name everywhere, and other content has another."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.errors import UserError
from loresmith.ledger.digest import canonical_json, digest_file, digest_of, is_digest, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=10,
)


def test_the_example_of_rfc_8785() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '€$\u000f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    assert canonical_json(value).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


ASCII = st.text(st.characters(codec="ascii"))
ASCII_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | ASCII | st.floats(allow_nan=False, width=32),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ASCII, inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.one_of(VALUES, ASCII_VALUES.filter(lambda value: "inf" not in repr(value))))
def test_every_value_is_written_as_the_library_for_it_writes_it(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


def test_keys_stand_in_the_order_of_utf_16() -> None:
    assert canonical_json({"\ue000": 1, "\U00010000": 2}) == '{"\U00010000":2,"\ue000":1}'.encode()


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES, min_size=2, max_size=5), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, Any], random: Any) -> None:
    shuffled = list(value.items())
    random.shuffle(shuffled)
    assert digest_of(value) == digest_of(dict(shuffled))


@settings(max_examples=30, deadline=None)
@given(VALUES, VALUES)
def test_other_values_have_other_digests(left: Any, right: Any) -> None:
    # JSON knows that True is not 1, and Python's equality does not.
    if canonical_json(left) != canonical_json(right):
        assert digest_of(left) != digest_of(right)
    assert digest_of([left]) != digest_of(left)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(1 - 2**53, 2**53 - 1))
def test_a_number_comes_back_as_it_was(number: float) -> None:
    assert parse_json(canonical_json(number)) == number
    assert canonical_json(parse_json(canonical_json({"x": number}))) == canonical_json({"x": number})


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53, {1: 2}, "\ud800", {"x": {"y": {1, 2}}}, b"", [{"a": -(2**53)}]]
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match="canonical JSON"):
        canonical_json(value)


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 3_000_000)
    assert digest_file(path) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_a_digest_is_64_lower_case_digits() -> None:
    assert is_digest("0123456789abcdef" * 4)
    for other in ("0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n", ""):
        assert not is_digest(other)
