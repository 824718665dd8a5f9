"""The training loop against its peers, on this machine, in one run.

    python benchmarks/train.py [--only NAMES] [--rounds 3] [--minutes 5] [--workspace DIR] [--json]

A Qwen3 of 8 layers x 320, vocabulary 8192, 16 rows of 256 tokens a step, on the corpus of `make demo`. Every contestant
is a process of its own with two threads; they take turns, so that a machine that grows slow is slow for all, and the
medians over rounds are compared. Needs the extra `test` (TRL), and an idle machine.

| name    | what is compared                                                                                   |
|---------|----------------------------------------------------------------------------------------------------|
| speed   | tokens/s: ours, the Hugging Face Trainer (bf16 autocast), TRL's SFT (bf16), a bare loop (bf16)     |
| quality | bits per byte after so many minutes: ours, the Trainer at three rates, nanochat's recipe           |
| mixture | seconds of a step: 8 experts with 2 active, against a dense model of the same active parameters    |
| packing | tokens/s of uneven documents: packed into rows, against padded                                     |
| start   | seconds from `loresmith run` to the first step                                                     |
| memory  | peak memory of the cross-entropy at a vocabulary of 128k: in chunks, against the plain form        |
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CONTESTANTS = {
    "ours": ("ours",),
    "ours_compiled": ("ours", "--compile", "1"),
    "hf_trainer": ("hf_trainer",),
    "trl_sft": ("trl_sft",),
    "bare_loop": ("bare_loop",),
}
"""Module and options. Ours computes as recipes do by default; compiled as they do with `compile: on`."""

RATES = (1e-3, 2e-3, 4e-3)
"""Of AdamW, for the Trainer: the best of the three counts."""


def make_tokens(workspace: Path) -> Path:
    """The corpus as tokens; made once, found again after."""
    import loresmith

    folder = workspace / "contest"
    folder.mkdir(parents=True, exist_ok=True)
    opened = loresmith.Workspace.open(folder) if (folder / ".loresmith").exists() else loresmith.Workspace.init(folder)
    with opened as ws:
        plan = ws.plan(HERE / "training" / "recipe.yaml", [f"steps.files.path={sysconfig.get_path('stdlib')}"])
        ws.run(plan)
        return Path(ws.assets["contest/tokens"].directory)


def run(module: str, tokens: Path, *options: str) -> dict[str, Any]:
    """A contestant's result."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "GOMP_SPINCOUNT": "1000",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "2",
    }
    command = [sys.executable, "-m", f"benchmarks.training.{module}", "--tokens", str(tokens), *options]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"  {module} {' '.join(options)}: {result}", file=sys.stderr, flush=True)
    return result


def speed(tokens: Path, rounds: int, minutes: float) -> dict[str, Any]:
    found: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    matmul = []
    parameters = 0
    for _ in range(rounds):
        matmul.append(run("matmul", tokens)["flops"])
        for name, (module, *options) in CONTESTANTS.items():
            result = run(module, tokens, *options)
            found[name].append(result["tokens_per_second"])
            parameters = result.get("parameters", parameters)

    def ratio(peer: str, ours: str = "ours") -> float:
        pairs = zip(found[ours], found[peer], strict=True)
        return round(statistics.median(own / theirs for own, theirs in pairs), 3)

    from benchmarks.training import contest

    # 6 a weight of the products (all but the input embedding), and the attention's scores and sums: Kaplan et al. 2020.
    operations = 6 * (parameters - contest.VOCABULARY * contest.WIDTH)
    operations += 6 * contest.LAYERS * contest.LENGTH * contest.WIDTH
    return {
        "tokens_per_second": {name: round(statistics.median(rates)) for name, rates in found.items()},
        "speedup_vs_hf_trainer": ratio("hf_trainer"),
        "compiled_speedup_vs_hf_trainer": ratio("hf_trainer", "ours_compiled"),
        "speedup_vs_trl_sft": ratio("trl_sft"),
        "fraction_of_bare_loop": ratio("bare_loop"),
        "matmul_gflops": round(statistics.median(matmul) / 1e9),
        "matmul_fraction": round(
            statistics.median(ours * operations / rate for ours, rate in zip(found["ours"], matmul, strict=True)), 3
        ),
    }


def quality(tokens: Path, rounds: int, minutes: float) -> dict[str, Any]:
    seconds = ("--seconds", str(60 * minutes))
    ours = run("ours", tokens, *seconds)
    bare = run("bare_loop", tokens, *seconds)
    trainer = {rate: run("hf_trainer", tokens, *seconds, "--rate", str(rate)) for rate in RATES}
    best = min(result["bits_per_byte"] for result in trainer.values())
    return {
        "bits_per_byte": {
            "ours": ours["bits_per_byte"],
            "nanochat_recipe": bare["bits_per_byte"],
            **{f"hf_trainer_{rate:g}": result["bits_per_byte"] for rate, result in trainer.items()},
        },
        "bpb_ratio_to_hf_trainer": round(ours["bits_per_byte"] / best, 4),
        "bpb_ratio_to_nanochat_recipe": round(ours["bits_per_byte"] / bare["bits_per_byte"], 4),
        "tokens_seen": {"ours": ours["tokens"], "bare_loop": bare["tokens"], "hf_trainer": trainer[RATES[0]]["tokens"]},
    }


def ratio_of(module: str, name: str) -> Callable[[Path, int, float], dict[str, Any]]:
    def measure(tokens: Path, rounds: int, minutes: float) -> dict[str, Any]:
        return {name: round(statistics.median(run(module, tokens)["ratio"] for _ in range(rounds)), 3)}

    return measure


def start(tokens: Path, rounds: int, minutes: float) -> dict[str, Any]:
    return {
        "seconds_to_first_step": round(statistics.median(run("start", tokens)["seconds"] for _ in range(rounds)), 2)
    }


def memory(tokens: Path, rounds: int, minutes: float) -> dict[str, Any]:
    return {
        "cross_entropy_peak_bytes": {
            form: run("memory", tokens, "--form", form)["bytes"] for form in ("chunked", "plain")
        }
    }


MEASURES: dict[str, Callable[[Path, int, float], dict[str, Any]]] = {
    "speed": speed,
    "mixture": ratio_of("mixture", "moe_vs_dense"),
    "packing": ratio_of("packing", "packing_speedup"),
    "start": start,
    "memory": memory,
    "quality": quality,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), help="measure these alone")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contestant; quality has one")
    parser.add_argument("--minutes", type=float, default=5.0, help="length of a training whose quality is measured")
    parser.add_argument("--workspace", type=Path, help="where the corpus is kept; a temporary folder by default")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as temporary:
        tokens = make_tokens((given.workspace or Path(temporary)).resolve())
        results: dict[str, Any] = {}
        for name in given.only:
            print(name, file=sys.stderr, flush=True)
            results |= MEASURES[name](tokens, given.rounds, given.minutes)
    if given.json:
        print(json.dumps(results))
    else:
        for name, value in results.items():
            print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
