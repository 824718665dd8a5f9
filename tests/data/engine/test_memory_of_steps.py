"""Twice as many documents take hardly more memory in the process of the step, and none in its workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def most(step: str, documents: int, folder: Path) -> list[int]:
    """MiB of the step's process and of its largest worker."""
    command = [sys.executable, "-m", "tests.data.engine.measured", step, str(documents), str(folder / str(documents))]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    return list(map(int, said.stdout.split()))


@pytest.mark.slow
@pytest.mark.parametrize("step", ["mix", "decontaminate", "curate"])
def test_what_is_not_bounded_is_a_few_numbers_for_each_document(step: str, tmp_path: Path) -> None:
    """With 100,000 documents, all that keeps to the memory takes as much as it may."""
    few, many = most(step, 100_000, tmp_path), most(step, 200_000, tmp_path)
    print(step, few, many)
    assert (many[0] - few[0] - 2) << 20 < 250 * 100_000, "bytes of the step's own process"
    assert many[1] < 1.1 * few[1]
