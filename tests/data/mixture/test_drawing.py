"""Which documents are drawn, how often, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from loresmith.data.engine.rows import Rows
from loresmith.data.engine.sorting import Sorting
from loresmith.data.mixture import drawing
from loresmith.data.mixture.drawing import DRAWABLE, DRAWN, chances, interleaved

RANDOM = np.random.default_rng(7)
DOCUMENTS = np.arange(500, 900, dtype=np.int64)
SIZES = RANDOM.integers(1, 1000, len(DOCUMENTS))
CHANCES = chances(RANDOM.integers(0, 2**63, len(DOCUMENTS)).astype(np.uint64), seed=1)
TOTAL = float(SIZES.sum())


class Draws:
    """What was drawn, in columns."""

    def __init__(self, blocks: Iterable[Rows]) -> None:
        self.rows = np.concatenate([np.empty(0, dtype=DRAWN), *blocks])
        self.documents = self.rows["document"].astype(np.int64)
        self.repeats, self.stages, self.places = (self.rows[name] for name in ("repeat", "stage", "place"))


def draw(documents: Any, sizes: Any, keys: Any, wanted: Sequence[float], values: Any = None) -> Draws:
    """Draw in little memory: what is sorted goes through the disk."""

    def drawable() -> Iterator[Rows]:
        for start in range(0, len(documents), 90):
            here = slice(start, start + 90)
            rows = np.zeros(len(documents[here]), dtype=DRAWABLE)
            rows["document"], rows["size"], rows["chance"] = documents[here], sizes[here], keys[here]
            rows["value"] = 0 if values is None else values[here]
            yield rows

    with TemporaryDirectory() as folder:
        return Draws(drawing.draw(drawable, wanted, Sorting(Path(folder) / "sorting", 0), values is not None))


def together(draws: Sequence[Draws]) -> Draws:
    with TemporaryDirectory() as folder:
        sorting = Sorting(Path(folder) / "sorting", 0)
        return Draws(interleaved(lambda: [each.rows.copy() for each in draws], 1, sorting))


def size_of(documents: np.ndarray) -> int:
    return int(SIZES[documents - 500].sum())


@pytest.mark.parametrize("epochs", [0.25, 1.0, 2.5])
def test_a_source_is_used_up_before_anything_of_it_is_repeated(epochs: float) -> None:
    draws = draw(DOCUMENTS, SIZES, CHANCES, [epochs * TOTAL])
    assert abs(size_of(draws.documents) - epochs * TOTAL) <= 500
    for epoch in range(int(epochs)):
        assert sorted(draws.documents[draws.repeats == epoch]) == DOCUMENTS.tolist()
    last = draws.documents[draws.repeats == int(epochs)]
    assert len(set(last.tolist())) == len(last)
    assert list(draws.repeats) == sorted(draws.repeats)


def test_each_epoch_has_an_order_of_its_own() -> None:
    draws = draw(DOCUMENTS, SIZES, CHANCES, [2 * TOTAL])
    first, second = (draws.documents[draws.repeats == epoch] for epoch in (0, 1))
    assert not np.array_equal(first, second)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2
    assert abs(np.corrcoef(first, np.arange(len(first)))[0, 1]) < 0.2


def test_a_larger_sample_holds_every_smaller_one_and_is_no_sample_of_small_documents() -> None:
    small, large = (set(draw(DOCUMENTS, SIZES, CHANCES, [share * TOTAL]).documents.tolist()) for share in (0.2, 0.5))
    assert small < large
    assert abs(SIZES[np.array(sorted(large)) - 500].mean() / SIZES.mean() - 1) < 0.15


def test_values_ascend_in_every_epoch_and_what_has_none_comes_last() -> None:
    values = RANDOM.random(len(DOCUMENTS))
    values[:10] = np.nan
    draws = draw(DOCUMENTS, SIZES, CHANCES, [1.5 * TOTAL], values)
    for epoch in (0, 1):
        seen = values[draws.documents[draws.repeats == epoch] - 500]
        known = seen[~np.isnan(seen)]
        assert np.all(np.diff(known) >= 0)
        assert np.all(np.isnan(seen[len(known) :]))
    sample = draws.documents[draws.repeats == 1]
    assert values[sample - 500][: len(sample) // 2].max() < 0.75  # of all values, and not the lowest half alone
    assert np.nanmax(values[sample - 500]) > 0.9


def test_stages_take_one_part_after_the_other() -> None:
    draws = draw(DOCUMENTS, SIZES, CHANCES, [0.6 * TOTAL, 0.0, 0.4 * TOTAL])
    assert sorted(draws.documents) == DOCUMENTS.tolist()
    assert abs(size_of(draws.documents[draws.stages == 0]) - 0.6 * TOTAL) <= 500
    assert not np.any(draws.stages == 1)
    assert np.all((draws.places >= 0) & (draws.places <= 1))


def test_shares_hold_at_every_point() -> None:
    few = draw(DOCUMENTS[:100], SIZES[:100], CHANCES[:100], [3.0 * SIZES[:100].sum()])
    many = draw(DOCUMENTS[100:], SIZES[100:], CHANCES[100:], [float(SIZES[100:].sum())])
    both = together([few, many])
    sizes = SIZES[both.documents - 500]
    of_few = both.documents < 600
    share = sizes[of_few].sum() / sizes.sum()
    for part in np.array_split(np.arange(len(sizes)), 8):
        assert abs(sizes[part][of_few[part]].sum() / sizes[part].sum() - share) < 0.05


def test_another_seed_draws_others() -> None:
    ids = np.arange(400, dtype=np.uint64)
    drawn = [draw(DOCUMENTS, SIZES, chances(ids, seed), [0.5 * TOTAL]).documents.tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) != set(drawn[2])
