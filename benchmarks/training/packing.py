"""Documents of very uneven length, packed into rows and padded to the longest of their micro-batch, step by step."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks.training import contest
from benchmarks.training.ours import trainer_of
from loresmith.training.batches import RowBatches
from loresmith.training.causal_lm import CausalLM
from loresmith.training.packed_rows import PackedRows, Piece
from loresmith.training.rows import shifted

WINDOW, ROWS, DOCUMENTS = 1024, 8, 3000

if __name__ == "__main__":
    chosen = contest.arguments()
    draw = np.random.default_rng(0)
    # As the lengths of instructions and answers lie: most are short, a few fill the window.
    lengths = np.clip(np.exp(draw.normal(4.4, 1.0, DOCUMENTS)).astype(int), 8, WINDOW)
    pieces = [Piece(number, 0, int(length), int(length)) for number, length in enumerate(lengths)]
    texts = [draw.integers(0, contest.VOCABULARY, length + 1) for length in lengths]
    names = [(str(number), "") for number in range(DOCUMENTS)]
    times: dict[str, list[float]] = {"packed": [], "padded": []}
    sources = {
        name: PackedRows(
            name, pieces, WINDOW, lambda piece, _: shifted(texts[piece]), names, int(lengths.sum()), name == "packed"
        )
        for name in times
    }
    batches = {
        name: RowBatches(source, WINDOW, ROWS * WINDOW, ROWS * WINDOW, seed=0) for name, source in sources.items()
    }
    trainer, objective = trainer_of(contest.our_model(), 10**9), CausalLM()
    trainer.predictor.train()
    for number in range(chosen.steps + 2):
        for name in times:
            batch = batches[name].batch(number)
            began = time.perf_counter()
            trainer.forward_backward(batch, objective)
            trainer.optim_step()
            times[name].append(sum(batch.learnt.values()) / (time.perf_counter() - began))
    medians = {name: statistics.median(found[2:]) for name, found in times.items()}
    contest.say(ratio=medians["packed"] / medians["padded"], filled=sources["packed"].filled, **medians)
