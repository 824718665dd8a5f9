from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.engine.native_tables import NativeTables
from loresmith.data.engine.rows import KEYED
from tests.data.engine.row_files import listed, require_right_answers, write_rows


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 400), st.integers(1, 4))
def test_answers_are_those_of_the_definition(seed: int, count: int, files: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        require_right_answers(NativeTables(Path(name) / "work", 1 << 20), Path(name), seed, count, files)


def test_answers_are_the_same_when_nothing_fits(tmp_path: Path) -> None:
    """A key has more rows than a part, too, and goes on from one to the next."""
    tables = NativeTables(tmp_path / "work", 0)
    require_right_answers(tables, tmp_path, 1, 8_000, 3)
    assert list((tmp_path / "work").iterdir()) == []


def test_what_has_more_rows_than_a_part_is_counted_as_a_whole(tmp_path: Path) -> None:
    tables = NativeTables(tmp_path / "work", 0)
    frequent = write_rows(tmp_path / "frequent", [[(7, document) for document in range(4000)]], KEYED)
    assert tables.common_keys(frequent, 4000).tolist() == [7]
    assert tables.common_keys(frequent, 4001).tolist() == []
    keys = [(number << 40, document) for document in (1, 2) for number in range(5000)]
    alike = write_rows(tmp_path / "alike", [keys], KEYED)
    assert listed(tables.shared(alike, alike)) == [(1, 2, 5000)]
    assert listed(tables.neighbours(alike)) == [(1, 2)]
