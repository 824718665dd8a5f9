"""How a score is spread over documents, so that a person can choose a threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loresmith.data.preview.previewed import Spread

PARTS = 20


def spread_of(values: Sequence[float]) -> Spread | None:
    """Quantiles and a histogram of `PARTS` equal parts; None where there are no values.

    A quantile is one of the values (the nearest rank), not a number between two.
    """
    if not values:
        return None
    numbers = np.asarray(values, dtype=np.float64)
    low, p5, median, p95, high = np.quantile(numbers, [0, 0.05, 0.5, 0.95, 1], method="inverted_cdf").tolist()
    if low == high:
        counts = [len(values), *[0] * (PARTS - 1)]
    else:
        counts = np.histogram(numbers, bins=PARTS, range=(low, high))[0].tolist()
    return Spread(documents=len(values), minimum=low, p5=p5, p50=median, p95=p95, maximum=high, counts=tuple(counts))
