"""What the tests of duplicates share: documents as Arrow batches, edited copies, and similarity by definition."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

import pyarrow as pa

WORDS = [f"word{number}" for number in range(5000)]


def prose(seed: int, words: int = 200) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words)) + "\n"


def edited(text: str, seed: int, edits: int) -> str:
    words, chance = text.split(), random.Random(seed)
    for _ in range(edits):
        words[chance.randrange(len(words))] = chance.choice(WORDS)
    return " ".join(words) + "\n"


def shingles_of(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + 5]) for start in range(max(1, len(words) - 4))}


def jaccard(left: str, right: str) -> float:
    one, other = shingles_of(left), shingles_of(right)
    return len(one & other) / len(one | other)


def containment(inner: str, outer: str) -> float:
    return len(shingles_of(inner) & shingles_of(outer)) / len(shingles_of(inner))


def batches(texts: Sequence[str], rows: int = 7, first: int = 0) -> list[pa.RecordBatch]:
    """Documents named by their number."""
    return [
        pa.record_batch(
            [
                pa.array([f"{first + number:05}" for number in range(start, min(start + rows, len(texts)))]),
                pa.array(texts[start : start + rows], pa.string()),
            ],
            names=["id", "text"],
        )
        for start in range(0, len(texts), rows)
    ]
