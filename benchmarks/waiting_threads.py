"""How long OpenMP's threads should spin while they wait, alone and beside a process that wants a core.

    python benchmarks/waiting_threads.py [--json]

Each setting runs the same small bf16 products on two threads in a process of its own, alternating with the others; the
medians of three rounds are given, in products a second.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import Final

WORK: Final = """
import time, torch
torch.set_num_threads(2)
a, w = torch.randn(512, 320).bfloat16(), torch.randn(320, 320).bfloat16()
for _ in range(50):
    a @ w
began, done = time.perf_counter(), 0
while time.perf_counter() - began < 3:
    for _ in range(20):
        torch.nn.functional.gelu(a @ w)
        done += 1
print(done / (time.perf_counter() - began))
"""
BUSY: Final = "while True: pass"
SETTINGS: Final = {
    "default": {},
    "GOMP_SPINCOUNT=20000": {"GOMP_SPINCOUNT": "20000"},
    "GOMP_SPINCOUNT=5000": {"GOMP_SPINCOUNT": "5000"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
}


def rate(variables: dict[str, str]) -> float:
    """Products a second in a process with these environment variables."""
    result = subprocess.run(
        [sys.executable, "-c", WORK], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    return float(result.stdout)


def measure(rounds: int) -> dict[str, float]:
    """The median rate of each setting."""
    rates: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(rounds):
        for name, variables in SETTINGS.items():
            rates[name].append(rate(variables))
    return {name: round(statistics.median(found)) for name, found in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    alone = measure(arguments.rounds)
    busy = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        beside = measure(arguments.rounds)
    finally:
        busy.kill()
    for name in SETTINGS:
        print(f"{name:<26} {alone[name]:>8.0f} alone {beside[name]:>8.0f} beside a busy process")
    if arguments.json:
        print(json.dumps({"alone": alone, "beside_a_busy_process": beside}))


if __name__ == "__main__":
    main()
