"""The machine's own rate of bf16 matrix products, in FLOP/s."""

from __future__ import annotations

import statistics
import time

import torch

from benchmarks.training import contest

if __name__ == "__main__":
    torch.set_num_threads(contest.THREADS)
    a, b = torch.randn(2048, 2048).bfloat16(), torch.randn(2048, 2048).bfloat16()
    times = []
    for _ in range(30):
        began = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - began)
    contest.say(flops=2 * 2048**3 / statistics.median(times[5:]))
