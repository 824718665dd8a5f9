"""The process in waiting has loaded what takes long before it is told which engine it becomes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from loresmith.serving.engines.starting import EngineStart, make_engine, FACTORIES
from loresmith.serving.engines.worker import load_libraries

load_libraries()
before = set(sys.modules)
arguments = {"directory": sys.argv[1], "slots": 2, "window": 64}
make_engine(EngineStart(factory=FACTORIES["torch"], arguments=arguments, threads=1))
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.slow
def test_an_engine_imports_no_more_than_its_models_own_code(tiny_directory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tiny_directory)], capture_output=True, text=True, check=True
    )
    late = done.stdout.split()
    assert [name for name in late if not name.startswith("transformers.models.qwen3")] == []
    assert late, "the model's own code was known beforehand: ask for a family that is not"
