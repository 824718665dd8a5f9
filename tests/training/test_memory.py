"""Memory does not grow with the number of steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loresmith.factory.step import InputAsset

PROGRAM = """
import ctypes, sys
from pathlib import Path
# Neither huge pages, which the kernel makes when it has time, nor pages of files, which it takes away and brings back.
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)
import psutil, torch
from loresmith.factory.step import InputAsset
from loresmith.training.steps import PRETRAIN
from tests.step_context import RecordingContext, run_step
from tests.training.tiny_tokens import TINY

class Watching(RecordingContext):
    resident = []
    def progress(self, *given, **numbers):
        memory = psutil.Process().memory_info()
        self.resident.append((memory.rss - memory.shared, memory.rss))

torch.set_num_threads(1)
folder, tokens = map(Path, sys.argv[1:])
context = Watching(folder)
settings = {**TINY, "budget_tokens": 64 * 600, "held_out_interval": "6k", "checkpoint_seconds": 0.2}
run_step(PRETRAIN, folder, settings, {"tokens": InputAsset("0" * 64, "tokens", tokens, {}, ())}, context)
print(*context.resident[99], *context.resident[-1])
"""


@pytest.mark.slow
def test_500_steps_with_checkpoints_and_measurements_take_no_more_memory_than_100(
    tokens: InputAsset, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(tokens.directory)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    before, whole, after, _ = map(int, done.stdout.split())
    assert after - before < 0.01 * whole
