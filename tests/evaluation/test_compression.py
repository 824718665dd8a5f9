"""The compressor's numbers are those of the `xz` command, and text that is at hand is never charged twice."""

from __future__ import annotations

import lzma
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.evaluation.compression import LARGEST_DICTIONARY, dictionary_size, xz_bytes


def size(*pieces: bytes) -> int:
    return xz_bytes(pieces, sum(map(len, pieces)))


def test_it_is_what_xz_9e_writes() -> None:
    text = b"def add(a, b):\n    return a + b\n" * 50
    assert size(text) == len(lzma.compress(text, check=lzma.CHECK_CRC64, preset=9 | lzma.PRESET_EXTREME))
    assert size(text[:99], text[99:]) == size(text)


@given(
    st.lists(st.sampled_from([b"def f(x):\n", b"    return x\n", b"import os\n", b"\xff\x00"]), max_size=60), st.data()
)
@settings(max_examples=10, deadline=None)
def test_more_text_never_needs_fewer_bytes(pieces: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(pieces)))
    assert size(*pieces) >= size(*pieces[:cut])


def test_held_out_text_that_was_in_training_is_nearly_free() -> None:
    text = random.Random(0).randbytes(20_000)
    other = random.Random(1).randbytes(20_000)
    assert size(text, text) - size(text) < 500
    assert size(text, other) - size(text) > 19_000


def test_the_dictionary_holds_all_of_the_text() -> None:
    assert dictionary_size(0) == dictionary_size(10_000_000) == 1 << 26
    assert dictionary_size((1 << 26) + 1) == 1 << 27
    assert dictionary_size(LARGEST_DICTIONARY) == LARGEST_DICTIONARY
    with pytest.raises(ValueError, match="looks back"):
        dictionary_size(LARGEST_DICTIONARY + 1)
