"""Attention on the CPU, forward and backward: ours and torch's, causal and with the mask of packed rows.

    OMP_NUM_THREADS=1 python benchmarks/attention.py [--rows 8] [--length 256] [--heads 4] [--head-dim 64]
        [--document 60] [--rounds 40] [--json]

Each kind is run once a round, in turn, and the fastest and the median round are shown, in milliseconds: a busy machine
slows all of them. `--document` is the mean length of a document. The mask is made once, as a model does it for all its
layers. `--json` prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from loresmith.models import attention


def masks(rows: int, length: int, document: int) -> tuple[Tensor, Tensor]:
    """Which keys a query sees in rows of packed documents, bool (B, 1, T, T); and the same to be added, in bf16."""
    borders = torch.rand(rows, length, generator=torch.Generator().manual_seed(0)) < 1 / document
    documents = borders.cumsum(-1)
    visible = (documents[:, None, :, None] == documents[:, None, None, :]) & torch.ones(length, length).tril().bool()
    return visible, torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.bfloat16).min).bfloat16()


def kinds(length: int, visible: Tensor, added: Tensor) -> dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    sdpa = nn.functional.scaled_dot_product_attention
    module = nn.Module()

    def ours(mask: Tensor | None) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        return lambda q, k, v: attention._attention(module, q, k, v, mask)[0]

    return {
        "ours, causal": ours(None),
        "ours, packed": ours(added),
        "ours, packed, bool mask a layer": ours(visible),
        "sdpa, causal": lambda q, k, v: sdpa(q, k, v, is_causal=True),
        "sdpa, packed": lambda q, k, v: sdpa(q, k, v, attn_mask=visible),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 8), ("length", 256), ("heads", 4), ("head-dim", 64), ("document", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    shape = (args.rows, args.heads, args.length, args.head_dim)
    q, k, v = (torch.randn(shape, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    functions = kinds(args.length, *masks(args.rows, args.length, args.document))
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for _ in range(args.rounds + 2):
        for name, function in functions.items():
            began = time.perf_counter()
            out = function(q, k, v)
            halfway = time.perf_counter()
            torch.autograd.grad(out, (q, k, v), torch.ones_like(out))
            seconds[name].append((halfway - began, time.perf_counter() - began))
    report = {}
    for name, rounds in seconds.items():
        forward, both = ([1e3 * each[i] for each in rounds[2:]] for i in (0, 1))
        report[name] = {"forward": min(forward), "both": min(both), "median": statistics.median(both)}
        print(
            f"{name:32} forward {min(forward):7.2f}   with backward {min(both):7.2f}   "
            f"(median {statistics.median(both):7.2f})"
        )
    if args.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
