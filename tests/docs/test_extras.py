"""Every extra that is named somewhere is one that can be installed, at versions that are pinned."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
NAMED = re.compile(r"(?:loresmith|'\.|\"\.)\[([a-z0-9,-]+)\]")
PLACES = sorted(
    path
    for pattern in ("src/**/*", "docs/**/*", "examples/**/*", "tests/**/*.py", "benchmarks/**/*.py", "*.md", "Makefile")
    for path in ROOT.glob(pattern)
    if path.suffix in {".py", ".md", ".yaml", ""} and path.is_file()
)


def test_every_extra_that_is_named_can_be_installed() -> None:
    named = {
        extra: path.relative_to(ROOT)
        for path in PLACES
        for group in NAMED.findall(path.read_text(encoding="utf-8"))
        for extra in group.split(",")
    }
    assert {"openvino", "smollm2", "test-slow"} <= named.keys()
    assert {extra: path for extra, path in named.items() if extra not in EXTRAS} == {}


@pytest.mark.parametrize("extra", ["openvino", "test", "test-slow", "lint"])
def test_what_is_tested_with_is_pinned(extra: str) -> None:
    pins = {_plain(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    asked = {_plain(re.split(r"[\[<>=~]", line)[0]) for line in EXTRAS[extra]} - {"loresmith"}
    assert asked - pins == set()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
