"""Then and now are compared to the last bit, and only what differs is told."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.factory.reproduction.comparison import compare_environments, compare_metrics, compare_output
from loresmith.ledger import Asset, File, Metric

A, B = "a" * 64, "b" * 64


def metrics(name: str, values: dict[float, float]) -> list[Metric]:
    return [
        Metric(run="r", step="s", name=name, value=value, position=position, at="")
        for position, value in values.items()
    ]


def asset(digest: str, metadata: dict[str, Any], labels: tuple[str, ...] = (), **files: str) -> Asset:
    held = {path: File(digest=file, size=1) for path, file in files.items()}
    return Asset(digest=digest, kind="model", files=held, metadata=metadata, labels=labels, size=1, created_at="")


@given(st.floats(allow_infinity=False, allow_nan=False))
def test_one_bit_is_a_difference(value: float) -> None:
    then = metrics("loss", {1: value, 2: value})
    assert compare_metrics(then, {("loss", 1): value, ("loss", 2): value}) == ((), 2)
    ((found,), _) = compare_metrics(then, {("loss", 1): value, ("loss", 2): math.nextafter(value, math.inf)})
    assert (found.position, found.number, found.values) == (2, 2, 2)
    assert found.recorded == repr(value) != found.found


def test_a_loss_that_is_no_number_is_compared_too() -> None:
    then = metrics("loss", {1: math.nan})
    assert compare_metrics(then, {("loss", 1): math.nan}) == ((), 1)
    ((found,), _) = compare_metrics(then, {("loss", 1): 0.5})
    assert (found.recorded, found.found) == ("nan", "0.5")


def test_a_curve_that_ends_early_differs_where_it_ends() -> None:
    ((found,), _) = compare_metrics(metrics("loss", {1: 0.5, 2: 0.25}), {("loss", 1): 0.5})
    assert (found.position, found.recorded, found.found) == (2, "0.25", None)
    ((found,), _) = compare_metrics(metrics("loss", {1: 0.5}), {("loss", 1): 0.5, ("loss", 3): 0.25})
    assert (found.position, found.number, found.recorded, found.found) == (3, 1, None, "0.25")


def test_the_earliest_difference_stands_first_and_the_machine_s_speed_is_none() -> None:
    then = [*metrics("a", {1: 1, 2: 2}), *metrics("b", {1: 1, 2: 2}), *metrics("tokens_per_second", {1: 1})]
    found, numbers = compare_metrics(then, {("a", 1): 1, ("a", 2): 3, ("b", 1): 2, ("b", 2): 2, ("io_seconds", 1): 9})
    assert [(each.name, each.position) for each in found] == [("b", 1), ("a", 2)]
    assert numbers == 4


def test_files_metadata_and_labels_that_differ_are_named() -> None:
    then = asset(A, {"steps": 1, "loss": 2, "gone": 3}, ("secret",), same=A, changed=A, only_then=A)
    now = asset(B, {"steps": 1, "loss": 3, "new": 4}, (), same=A, changed=B, only_now=A)
    found = compare_output("model", True, then, now)
    assert [(file.path, file.recorded, file.found) for file in found.files] == [
        ("changed", A, B),
        ("only_now", None, A),
        ("only_then", A, None),
    ]
    assert found.metadata == ("gone", "loss", "new", "labels")
    assert not found.same
    assert compare_output("model", True, then, then).same
    assert not compare_output("model", True, then, None).same


@pytest.mark.parametrize(
    ("then", "now", "differences", "unrecorded"),
    [
        ({"threads": 2, "host": "a", "cores": 2}, {"threads": 2, "host": "b", "cores": 64}, [], ()),
        ({"threads": 2}, {"threads": 8}, [("threads", "2", "8")], ()),
        ({"torch": {"mkl": "1"}}, {"torch": {"mkl": "2"}}, [("torch.mkl", "1", "2")], ()),
        ({"i": ["amx", "avx"]}, {"i": ["avx"]}, [("i.amx", "present", "absent")], ()),
        ({"variables": {}}, {"variables": {"TZ": "UTC"}}, [("variables.TZ", "absent", "UTC")], ()),
        ({"python": "3.11"}, {"python": "3.11", "code": {"x": "1"}}, [], ("code",)),
    ],
)  # fmt: skip
def test_environments(
    then: dict[str, Any], now: dict[str, Any], differences: list[tuple[str, str, str]], unrecorded: tuple[str, ...]
) -> None:
    found, missing = compare_environments(then, now)
    assert [(each.name, each.recorded, each.found) for each in found] == differences
    assert missing == unrecorded
