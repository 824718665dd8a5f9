"""A mixture of 8 experts, 2 active, against a dense model as large as its active part; step by step in one process."""

from __future__ import annotations

import statistics
import time

from benchmarks.training import contest
from benchmarks.training.ours import trainer_of
from loresmith.training.causal_lm import CausalLM

if __name__ == "__main__":
    chosen = contest.arguments()
    half = contest.INNER // 2
    sparse = {"family": "qwen3_moe", "experts": 8, "experts_per_token": 2, "expert_width": half, "ffn_width": None}
    trainers = {
        "dense": trainer_of(contest.our_model(), 10**9),
        "mixture": trainer_of(contest.our_model(**sparse), 10**9),
    }
    batches, objective = contest.batches(chosen.tokens), CausalLM()
    times: dict[str, list[float]] = {name: [] for name in trainers}
    for number in range(chosen.steps + 2):
        for name, trainer in trainers.items():
            trainer.predictor.train()
            began = time.perf_counter()
            trainer.forward_backward(batches.batch(number), objective)
            trainer.optim_step()
            times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(found[2:]) for name, found in times.items()}
    contest.say(ratio=medians["mixture"] / medians["dense"], **medians)
