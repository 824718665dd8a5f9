from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from loresmith.data.engine.spill import Spill


def test_rows_come_back_once_and_keys_together(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    keys = chance.integers(0, 1 << 64, 4000, dtype=np.uint64) >> chance.choice([0, 3, 40], 4000).astype(np.uint64)
    keys[::5] = 7
    rows = np.dtype([("key", np.uint64), ("number", np.int64)])
    for memory in (500, 5000, 1 << 20):
        with Spill(tmp_path / "rows", rows, memory) as spill:
            for start in range(0, 4000, 333):
                spill.add(key=keys[start : start + 333], number=np.arange(start, min(start + 333, 4000)))
            parts = list(spill.parts())
        assert not (tmp_path / "rows").exists()
        assert sorted(np.concatenate(parts)["number"].tolist()) == list(range(4000))
        for before, after in itertools.pairwise(parts):
            goes_on = len(np.unique(np.concatenate([before["key"], after["key"]]))) == 1
            assert goes_on or before["key"].max() < after["key"].min()
            assert not goes_on or len(before) == memory // rows.itemsize
        for part in parts:
            assert np.array_equal(keys[part["number"]], part["key"])
            assert len(part) * rows.itemsize <= memory
            for key in np.unique(part["key"]):
                assert (np.diff(part["number"][part["key"] == key]) > 0).all()
