"""Byte-pair encoding and its training, beside Hugging Face tokenizers: `python -m benchmarks.data.tokenizing`.

    python -m benchmarks.data.tokenizing [--megabytes 40] [--vocabulary 32768] [--json]

A vocabulary is trained on real text (see benchmarks/data/real_text.py); the time is what a person waits, with as many
threads as `tokenizers` takes. Then every document is encoded by our Encoder and by `tokenizers` itself, each on one
core (CPU time), and the ids are compared document by document.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.data.real_text import real_texts
from loresmith.data.encoding import Encoder
from loresmith.data.encoding_record import compare_encoders, write_record
from loresmith.data.tokenizer_training import PATTERNS, save_tokenizer, train_byte_pairs

RESERVED = 16
TOGETHER = 64
ROUNDS = 2


def trained(texts: Sequence[str], vocabulary: int, pre_tokenizer: str, folder: Path) -> float:
    """Train a tokenizer into a folder; the seconds that it took."""
    started = time.perf_counter()
    tokenizer = train_byte_pairs(texts, vocabulary, RESERVED, pre_tokenizer)
    seconds = time.perf_counter() - started
    save_tokenizer(tokenizer, folder)
    write_record(compare_encoders(folder, [("a text", text) for text in texts[:100]]), folder)
    return seconds


def encoded(encoder: Encoder, texts: Sequence[str]) -> tuple[list[np.ndarray[Any, Any]], float]:
    """The ids of all texts, and the CPU seconds that they took at best."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        ids = [
            each
            for start in range(0, len(texts), TOGETHER)
            for each in encoder.documents(texts[start : start + TOGETHER])
        ]
        best = min(best, time.process_time() - started)
    return ids, best


def compared(folder: Path, texts: Sequence[str]) -> dict[str, Any]:
    """MB/s of both, and how many documents come out the same."""
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    ours = Encoder.load(folder)
    fast, fast_seconds = encoded(ours, texts)
    exact, exact_seconds = encoded(ours.made_exact(), texts)
    return {
        "library": ours.library,
        "mb_s": round(megabytes / fast_seconds, 1),
        "tokenizers_mb_s": round(megabytes / exact_seconds, 1),
        "documents": len(texts),
        "equal": sum(map(np.array_equal, fast, exact)),
        "tokens": int(sum(map(len, exact))),
    }


def measure(megabytes: float, vocabulary: int, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Train and encode with each rule for cutting text that `train-tokenizer` has."""
    texts = real_texts(int(megabytes * 1e6))
    results: dict[str, Any] = {"megabytes": round(sum(len(text.encode()) for text in texts) / 1e6, 1)}
    with tempfile.TemporaryDirectory() as name:
        for pre_tokenizer in PATTERNS:
            folder = Path(name) / pre_tokenizer
            say(f"training with {pre_tokenizer}")
            seconds = trained(texts, vocabulary, pre_tokenizer, folder)
            say("encoding")
            results[pre_tokenizer] = {"train_s": round(seconds, 1), **compared(folder, texts)}
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--vocabulary", type=int, default=32768)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = measure(options.megabytes, options.vocabulary, lambda what: print(what, file=sys.stderr))
    print(json.dumps(results, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
