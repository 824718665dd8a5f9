"""Numbers that lie in files are those that would be in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loresmith.data.curation.mapped_rows import MappedRows, mapped_full


@pytest.mark.parametrize("sizes", [[], [0], [3, 0, 70_000, 1]])
@pytest.mark.parametrize("dtype", [np.dtype(np.int64), np.dtype((np.uint8, 32))], ids=["numbers", "digests"])
def test_rows_come_back_as_they_were_added(tmp_path: Path, sizes: list[int], dtype: np.dtype[np.generic]) -> None:
    draw = np.random.default_rng(0)
    batches = [draw.integers(0, 200, (size, *dtype.shape)).astype(dtype.base) for size in sizes]
    (tmp_path / "rows.rows").write_bytes(b"left by a process that was killed")
    found = []
    for folder in (tmp_path, None):
        rows = MappedRows(folder, "rows", dtype)
        for batch in batches:
            rows.add(batch)
        found.append(rows.read())
    mapped, held = found
    assert mapped.dtype == held.dtype == dtype.base
    assert mapped.shape == held.shape == (sum(sizes), *dtype.shape)
    assert np.array_equal(mapped, held)
    assert np.array_equal(held, np.concatenate([np.empty((0, *dtype.shape), dtype.base), *batches]))
    assert isinstance(mapped, np.memmap) == (sum(sizes) > 0)


def test_what_is_changed_is_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "alike.rows").write_bytes(bytes(1000))
    rows = mapped_full(tmp_path, "alike", 70_000, np.dtype(np.int64), -1)
    rows[69_999] = 7
    assert (tmp_path / "alike.rows").stat().st_size == 8 * len(rows)
    assert set(rows[:-1].tolist()) == {-1}
    assert np.array_equal(np.fromfile(tmp_path / "alike.rows", np.int64), rows)
    assert len(mapped_full(tmp_path, "none", 0, np.dtype(np.float64), np.nan)) == 0
    assert np.isnan(mapped_full(None, "held", 3, np.dtype(np.float64), np.nan)).all()
