"""Then against now: the outputs of a step, its numbers, and the environment it ran in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loresmith.factory.reproduction.report import (
    EnvironmentDifference,
    FileDifference,
    MetricDifference,
    OutputComparison,
)
from loresmith.ledger import Asset, Metric

_NOT_COMPARED = ("host", "cores")
"""What names a machine and decides nothing: the cores do so only through the threads, which are compared."""

_OF_THE_MACHINE = ("_per_second", "_seconds")
"""Ends of the names of metrics that measure the machine and differ between any two runs."""

_ABSENT = "absent"


def compare_output(role: str, needed: bool, recorded: Asset | None, found: Asset | None) -> OutputComparison:
    """Hold an output that was made now against the one on record."""
    then = {path: file.digest for path, file in recorded.files.items()} if recorded is not None else {}
    now = {path: file.digest for path, file in found.files.items()} if found is not None else {}
    said: tuple[str, ...] = ()
    if recorded is not None and found is not None:
        keys = sorted(recorded.metadata.keys() | found.metadata.keys())
        said = tuple(key for key in keys if recorded.metadata.get(key) != found.metadata.get(key))
        if recorded.labels != found.labels:
            said = (*said, "labels")
    return OutputComparison(
        role=role,
        needed=needed,
        recorded=recorded.digest if recorded is not None else None,
        found=found.digest if found is not None else None,
        files=tuple(
            FileDifference(path=path, recorded=then.get(path), found=now.get(path))
            for path in sorted(then.keys() | now.keys())
            if then.get(path) != now.get(path)
        ),
        metadata=said,
    )


def compare_metrics(
    recorded: Iterable[Metric], found: Mapping[tuple[str, float], float]
) -> tuple[tuple[MetricDifference, ...], int]:
    """Where each metric first differs, the earliest first, and how many values were compared, each to the last bit.

    Args:
        found: what was measured now, by name and position.
    """
    then = _curves((metric.name, metric.position, metric.value) for metric in recorded)
    now = _curves((name, position, value) for (name, position), value in found.items())
    differences = [
        _first_difference(name, then.get(name, {}), now.get(name, {})) for name in sorted(then.keys() | now.keys())
    ]
    ordered = sorted((each for each in differences if each is not None), key=lambda each: each.position)
    return tuple(ordered), sum(map(len, then.values()))


def _curves(values: Iterable[tuple[str, float, float]]) -> dict[str, dict[float, float]]:
    """Value by position by name, of the metrics that are to be the same in every run."""
    curves: dict[str, dict[float, float]] = {}
    for name, position, value in values:
        if not name.endswith(_OF_THE_MACHINE):
            curves.setdefault(name, {})[position] = value
    return curves


def _first_difference(name: str, then: Mapping[float, float], now: Mapping[float, float]) -> MetricDifference | None:
    for position in sorted(then.keys() | now.keys()):
        recorded, found = _exact(then.get(position)), _exact(now.get(position))
        if recorded != found:
            number = sum(known <= position for known in then)
            return MetricDifference(
                name=name, position=position, number=number, values=len(then), recorded=recorded, found=found
            )
    return None


def _exact(value: float | None) -> str | None:
    """A number in full: other bits give another text, and one NaN is as good as another."""
    return None if value is None else "nan" if math.isnan(value) else repr(float(value))


def compare_environments(
    recorded: Mapping[str, Any], found: Mapping[str, Any]
) -> tuple[tuple[EnvironmentDifference, ...], tuple[str, ...]]:
    """What differs between two environments, and the parts of which nothing is on record."""
    known = {name: value for name, value in found.items() if name in recorded}
    then, now = dict(_leaves(recorded)), dict(_leaves(known))
    differences = tuple(
        EnvironmentDifference(name=name, recorded=then.get(name, _ABSENT), found=now.get(name, _ABSENT))
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    )
    return differences, tuple(sorted(found.keys() - recorded.keys() - set(_NOT_COMPARED)))


def _leaves(environment: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Every single thing by its dotted name; of a list, each item is there or not."""
    for name, value in environment.items():
        if above + name in _NOT_COMPARED:
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        elif isinstance(value, list):
            yield from ((f"{above}{name}.{item}", "present") for item in value)
        else:
            yield f"{above}{name}", str(value)
