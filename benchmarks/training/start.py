"""Seconds from `loresmith run` to the end of the first training step, all that comes before training being done."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.training import contest

RECIPE = """
name: start
seed: SEED
steps:
  base:
    step: pretrain
    tokens: contest/tokens
    architecture: {family: qwen3, layers: LAYERS, width: WIDTH, ffn_width: INNER}
    batch_tokens: BATCH
    micro_batch_tokens: BATCH
"""


def first_step(folder: Path) -> bool:
    """Whether the newest run has said that tokens were trained on."""
    runs = sorted((folder / ".loresmith" / "runs").iterdir())
    events = runs[-1] / "events.jsonl"
    lines = events.read_text(encoding="utf-8").splitlines() if events.is_file() else []
    return any(e["event"] == "progress" and e["done"] for e in map(json.loads, lines))


if __name__ == "__main__":
    chosen = contest.arguments()
    folder = next(parent for parent in chosen.tokens.resolve().parents if (parent / ".loresmith").is_dir())
    before = set((folder / ".loresmith" / "runs").iterdir())
    recipe = folder / "start.yaml"
    shape = {
        "LAYERS": contest.LAYERS,
        "WIDTH": contest.WIDTH,
        "INNER": contest.INNER,
        "BATCH": contest.BATCH * contest.LENGTH,
    }
    text = RECIPE.replace("SEED", str(time.time_ns() % 10**9))  # so that nothing of it is there yet
    for name, value in shape.items():
        text = text.replace(name, str(value))
    recipe.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "loresmith", "run", str(recipe), "--workspace", str(folder)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while set((folder / ".loresmith" / "runs").iterdir()) == before or not first_step(folder):
        if process.poll() is not None:
            raise SystemExit("the run ended before its first step")
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    process.terminate()
    process.wait()
    contest.say(seconds=seconds)
