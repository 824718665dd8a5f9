"""What decides the last bit is on record and does not decide what has to be done again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loresmith.factory.environment import computing_environment, deciding_environment, full_environment
from loresmith.factory.registry import find_step
from tests.factory.conftest import Factory


def test_variables_that_reach_a_result_are_on_record_and_no_others(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = factory.recipe("a: {step: write-text, text: x}", rest="compute: {threads: 3}")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/somewhere")
    environment = factory.workspace.run(recipe).actions()["a"].environment
    assert environment["variables"]["OMP_WAIT_POLICY"] == "passive"
    assert environment["variables"]["OMP_NUM_THREADS"] == "3", "as the step's own process had it"
    assert "hush" not in json.dumps(environment)
    assert "TORCHINDUCTOR_CACHE_DIR" not in environment["variables"]
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert factory.workspace.plan(recipe).steps[0].state == "cached"


def test_the_machine_and_the_code_are_on_record() -> None:
    step = find_step("write-text")
    found = full_environment(step, threads=2)
    assert found.items() >= deciding_environment(step).items()
    assert found["threads"] == 2
    assert set(found["code"]) == {"loresmith", "loresmith_words"}
    assert all(digest != "absent" for digest in found["code"].values())
    assert found["instructions"] == sorted(found["instructions"])
    json.dumps(found)


def test_code_that_changes_under_one_version_is_told_apart(tmp_path: Path) -> None:
    script = """
import sys
sys.path.insert(0, sys.argv[1])
import odd_steps.counting
from dataclasses import replace
from loresmith.factory.environment import full_environment
from loresmith.factory.registry import find_step
step = replace(find_step("write-text"), run=odd_steps.counting.run)
print(full_environment(step, 1)["code"]["odd_steps"])
"""
    package = tmp_path / "odd_steps"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "counting.py").write_text("def run(): ...\n")

    def digest() -> str:
        return subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
        ).stdout

    before = digest()
    assert digest() == before
    (package / "unseen.py").write_text("ONE = 1\n")
    more = digest()
    assert more != before
    (package / "unseen.py").write_text("ONE = 2\n")
    assert digest() not in (before, more)


def test_numerical_libraries_are_described_by_the_process_that_used_them() -> None:
    assert "torch" not in computing_environment() or "torch" in sys.modules
    script = """
import json, torch
from loresmith.factory.environment import computing_environment
torch.set_num_threads(1)
torch.set_float32_matmul_precision("high")
print(json.dumps(computing_environment()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["torch"]["threads"] == 1
    assert found["torch"]["matmul_precision"] == "high"
    assert found["torch"]["version"].startswith("2.")
    assert all(found["torch"][name] != "" for name in ("commit", "kernels", "mkl", "onednn"))
    assert found["numpy"]["blas"]
