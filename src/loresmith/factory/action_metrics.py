"""The numbers of an action, over all the runs that worked on it."""

from __future__ import annotations

from collections.abc import Iterable

from loresmith.ledger import Ledger, Metric


def merged_metrics(ledger: Ledger, workers: Iterable[tuple[str, str]], name: str | None = None) -> list[Metric]:
    """The numbers of an action by name and position, of one metric or of all.

    A run that goes on from a checkpoint repeats what came after it; the newest row of a position counts.

    Args:
        workers: run and step name of everyone who worked on it, the first first (`ledger.runs.working_on`).
    """
    latest: dict[tuple[str, float], Metric] = {}
    for run, step in workers:
        for metric in ledger.runs.metrics(run, step, name):
            latest[metric.name, metric.position] = metric
    return sorted(latest.values(), key=lambda metric: (metric.name, metric.position))
