"""Every test that docs/security.md names is there, every number in it is so, and every file it sends one to."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.docs.test_docs import PAGES
from tests.serving.gateway import test_authorisation, test_door
from tests.serving.identity.test_tokens import FORGED

HOME = Path(__file__).parents[2]
PAGE = next(page for page in PAGES if page.name == "security.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)`(\*?)")
SOMEBODY: Any = SimpleNamespace(keys={"user:ada": "x", "user:stranger": "ls-a-b"})

NUMBERS = {
    r"(\d+) ways of coming without a good key": len(
        test_door.strangers(SOMEBODY, {"user:gone": "x", "expired": "x"})  # whoever they are, they are as many
    ),
    r"(\d+) forged tokens": len(FORGED),
    r"(\d+) cells of caller and model": len(test_authorisation.CELLS),
    r"on each of (\d+) routes": len(test_authorisation.ROUTES),
    r"(\d+) requests whose end two servers": len(test_door.smuggled(SOMEBODY)),
    r"(\d+) bodies": len(test_door.BODIES),
}


@cache
def source(path: str) -> str:
    return (HOME / path).read_text(encoding="utf-8")


def test_there_are_many() -> None:
    assert len(NAMED.findall(PAGE)) > 40
    assert PAGE.count("::test_") == len(NAMED.findall(PAGE))


@pytest.mark.parametrize(("path", "name", "star"), sorted(set(NAMED.findall(PAGE))))
def test_a_test_that_is_named_is_there(path: str, name: str, star: str) -> None:
    before, found, _ = source(path).partition(f"def {name}(")
    assert found
    # A star, at the promise or the test, says that it takes longer.
    slow = "pytest.mark.slow" in re.split(r"\n\n\n", before)[-1]
    row = next(line for line in PAGE.splitlines() if f"{path}::{name}`" in line)
    assert not slow or "*" in row, "tests that take longer have a star"
    assert slow or not star


@pytest.mark.parametrize("stated", NUMBERS)
def test_a_number_is_so(stated: str) -> None:
    assert [int(number) for number in re.findall(stated, PAGE)] == [NUMBERS[stated]]
