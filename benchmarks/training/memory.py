"""Peak memory of a cross-entropy and its gradients at a vocabulary of 128k, over what its inputs take."""

from __future__ import annotations

import resource

import torch

from benchmarks.training import contest
from loresmith.training.cross_entropy import linear_cross_entropy

ROWS, WIDTH, VOCABULARY = 4096, 320, 131_072

if __name__ == "__main__":
    chosen = contest.arguments(form="chunked")
    hidden = torch.empty(ROWS, WIDTH, dtype=torch.bfloat16).normal_().requires_grad_()
    weight = torch.empty(VOCABULARY, WIDTH, dtype=torch.bfloat16).normal_().requires_grad_()
    targets = torch.randint(0, VOCABULARY, (ROWS,))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if chosen.form == "chunked":
        linear_cross_entropy(hidden, weight, targets, torch.ones(ROWS))[0].backward()
    else:
        torch.nn.functional.cross_entropy((hidden @ weight.t()).float(), targets, reduction="sum").backward()
    contest.say(bytes=(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
