from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.engine.row_files import require_right_answers

pytest.importorskip("daft")


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 400), st.integers(1, 4))
def test_answers_are_those_of_the_definition(seed: int, count: int, files: int) -> None:
    from loresmith.data.engine.daft_tables import DaftTables

    with tempfile.TemporaryDirectory() as name:
        require_right_answers(DaftTables(Path(name) / "work", 1 << 30), Path(name), seed, count, files)


def test_answers_are_the_same_when_only_a_range_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loresmith.data.engine import daft_tables

    monkeypatch.setattr(daft_tables, "_SMALLEST_RANGE", 10_000)
    require_right_answers(daft_tables.DaftTables(tmp_path / "work", 0), tmp_path, 1, 3000, 3)
    assert not (tmp_path / "work").exists()
