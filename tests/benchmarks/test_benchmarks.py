"""The benchmarks can be run, and say in JSON what is promised of them; what they say means nothing at this size."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))
PROMISED = {
    "near_duplicates": ("near_duplicate_mb_s", "near_duplicate_recall", "near_duplicate_precision"),
    "tokenizing": ("bpe_encode_mb_s", "bpe_train_s"),
    "reading": ("pdf_pages_s", "html_mb_s"),
    "curation": ("curate_mb_s", "curate_vs_datatrove"),
}


def run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def options_of(script: Path) -> set[str]:
    """The options that a script declares, without running it."""
    calls = [node for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return {
        argument.value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_every_benchmark_can_be_asked_for_json(script: Path) -> None:
    assert "--json" in options_of(script)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_every_benchmark_says_what_it_does(script: Path) -> None:
    assert "--json" in run(str(script), "--help")


def test_of_every_part_of_the_data_room_it_is_known_what_it_promises() -> None:
    said = run("benchmarks/data.py", "--help")
    assert "{" + ",".join(PROMISED) + "}" in said


@pytest.mark.slow
@pytest.mark.parametrize("part", PROMISED)
def test_each_part_of_the_data_room_gives_its_figures(part: str) -> None:
    *_, last = run("benchmarks/data.py", "--quick", "--json", "--only", part).splitlines()
    found: dict[str, Any] = json.loads(last)
    there = importlib.util.find_spec("datatrove") is not None
    for name in PROMISED[part]:
        if name != "curate_vs_datatrove" or there:
            assert found[name] > 0, name


@pytest.mark.slow
def test_the_encodings_are_counted() -> None:
    *_, last = run("benchmarks/encodings.py", "--json").splitlines()
    ours = json.loads(last)["ours"]
    assert 0 < ours["right"] <= ours["of"]
