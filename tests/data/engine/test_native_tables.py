from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.engine.native_tables import NativeTables
from tests.data.engine.row_files import require_right_answers


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 400), st.integers(1, 4))
def test_answers_are_those_of_the_definition(seed: int, count: int, files: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        require_right_answers(NativeTables(Path(name) / "work", 1 << 20), Path(name), seed, count, files)


@pytest.mark.parametrize("seed", range(2))
def test_answers_are_the_same_when_nothing_fits(seed: int, tmp_path: Path) -> None:
    """A key has more rows than a part, too, and goes on from one to the next."""
    tables = NativeTables(tmp_path / "work", 0)
    require_right_answers(tables, tmp_path, seed, 8_000, 3)
    assert list((tmp_path / "work").iterdir()) == []
