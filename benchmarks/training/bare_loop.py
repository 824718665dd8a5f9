"""A bare PyTorch loop: the same model in bf16, cross-entropy on its logits, Muon and AdamW on the weights themselves.

With `--seconds`, the published recipe of karpathy/nanochat on the same model: fp32 weights, cast for the
products, Muon on matrices, AdamW on embedding and head with rates scaled by (width / 768)^-0.5, 40 steps of
warm-up, constant, and a linear decay over the last 65 % to 5 %.
"""

from __future__ import annotations

import copy
import time

import torch

from benchmarks.training import contest


def optimisers(model: torch.nn.Module, rates: dict[str, float]) -> list[torch.optim.Optimizer]:
    head, embedding = model.lm_head.weight, model.model.embed_tokens.weight
    rest = [p for p in model.parameters() if p is not head and p is not embedding]
    matrices = [p for p in rest if p.ndim == 2]
    vectors = [p for p in rest if p.ndim != 2]
    adam = [
        {"params": [head], "lr": rates["head"]},
        {"params": [embedding], "lr": rates["embedding"]},
        {"params": vectors, "lr": rates["vectors"]},
    ]
    return [
        torch.optim.Muon(matrices, lr=rates["matrix"], weight_decay=0.0, momentum=0.95),
        torch.optim.AdamW(adam, betas=(0.8, 0.95), eps=1e-10, weight_decay=0.0, fused=True),
    ]


def loss_of(model: torch.nn.Module, batch: object) -> torch.Tensor:
    (part,) = batch.micro_batches
    logits = model(input_ids=part.inputs, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), part.targets.flatten())


def speed(given: object) -> None:
    model = contest.plain_model().bfloat16()
    steppers = optimisers(model, {"matrix": 0.02, "head": 0.004, "embedding": 0.03, "vectors": 0.004})
    batches = contest.batches(given.tokens)

    def step(number: int) -> None:
        loss = loss_of(model, batches.batch(number))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in steppers:
            stepper.step()
            stepper.zero_grad()
        float(loss.detach())

    contest.say(tokens_per_second=contest.tokens_per_second(step, given.steps, contest.BATCH * contest.LENGTH))


def quality(given: object) -> None:
    masters = contest.our_model()
    model = copy.deepcopy(masters).bfloat16()
    pairs = list(zip(model.parameters(), masters.parameters(), strict=True))
    scale = (contest.WIDTH / 768) ** -0.5
    peaks = {"matrix": 0.02, "head": 0.004 * scale, "embedding": 0.2 * scale, "vectors": 0.004 * scale}
    steppers = optimisers(masters, peaks)
    first = [[group["lr"] for group in stepper.param_groups] for stepper in steppers]
    batches = contest.batches(given.tokens, given.rows)

    def step(number: int, factor: float) -> None:
        loss_of(model, batches.batch(number)).backward()
        for weight, master in pairs:
            master.grad, weight.grad = weight.grad.float(), None
        for stepper, rates in zip(steppers, first, strict=True):
            for group, rate in zip(stepper.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            stepper.step()
        with torch.no_grad():
            for weight, master in pairs:
                weight.copy_(master)

    # The decay needs the number of steps: a few of a rate of zero tell how long one takes.
    seconds_of_a_step = (
        given.rows
        * contest.LENGTH
        / contest.tokens_per_second(lambda number: step(number, 0.0), 15, given.rows * contest.LENGTH)
    )
    steps = int(given.seconds / seconds_of_a_step)
    began = time.perf_counter()
    for number in range(steps):
        left = (steps - number) / steps
        step(number, min((number + 1) / 40, 1.0, 0.05 + 0.95 * left / 0.65))
    seconds = time.perf_counter() - began
    tokens = steps * given.rows * contest.LENGTH
    contest.say(bits_per_byte=contest.held_out(given.tokens, model), seconds=seconds, tokens=tokens)


if __name__ == "__main__":
    chosen = contest.arguments(rows=contest.BATCH)
    quality(chosen) if chosen.seconds else speed(chosen)
