"""Near-duplicate removal: speed, recall and precision beside datatrove's, and time per byte as the corpus grows.

    python -m benchmarks.data.near_duplicates [--only NAMES] [--megabytes 8] [--json]

| name    | what is measured                                                                                         |
|---------|----------------------------------------------------------------------------------------------------------|
| peer    | MB/s of CPU time, recall and precision, ours and datatrove's on the same documents in the same process   |
| growth  | CPU seconds per byte at 1, 4 and 16 times as much text, and what the largest is above the smallest       |
| others  | MB/s of exact duplicates by document, paragraph and line, and of containment, over the same sketches     |

Documents are real text, cut to a few kilobytes, each with a copy that has random words replaced, so that the true
similarity of every pair is known: the Jaccard similarity of the sets of five-word shingles, by Python's `re` and sets.
Recall is the share of pairs of true similarity 0.8 to 0.9 that end in one cluster; precision the share of removed
documents whose true similarity to the one that is kept is 0.7 or more. datatrove (extra `bench`) is given `str.split`
for cutting words, which is faster than the spaCy that it uses itself, and runs its stages one after the other.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.data.growth import growth_of
from benchmarks.data.real_text import real_texts
from loresmith.data.duplicates.containment import contained_documents
from loresmith.data.duplicates.exact_duplicates import exact_duplicates
from loresmith.data.duplicates.near_duplicates import near_duplicates
from loresmith.data.duplicates.shingles import shingles
from loresmith.data.duplicates.sketches import Sketches, write_sketches
from loresmith.data.engine.native_tables import NativeTables

THRESHOLD = 0.7
NAMES = ["peer", "growth", "others"]
GROWTH = (1, 4, 16)
BATCH = 256
ROUNDS = 3
MEMORY = 1 << 30
"""Bytes that a join may take."""

Pairs = list[tuple[int, int]]
"""Documents that are removed, each with the one that is kept for it."""


@dataclass(frozen=True)
class Corpus:
    """Documents of which some are edited copies of others.

    Attributes:
        texts: in random order.
        copies: places of an original and of its copy, with their true similarity.
    """

    texts: list[str]
    copies: list[tuple[int, int, float]]

    @property
    def bytes(self) -> int:
        return sum(len(text.encode()) for text in self.texts)

    def batches(self) -> list[pa.RecordBatch]:
        return [
            pa.record_batch(
                {
                    "id": [f"{number:08}" for number in range(start, min(start + BATCH, len(self.texts)))],
                    "text": self.texts[start : start + BATCH],
                }
            )
            for start in range(0, len(self.texts), BATCH)
        ]


def shingles_of(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + 5]) for start in range(max(1, len(words) - 4))}


def jaccard(left: str, right: str) -> float:
    one, other = shingles_of(left), shingles_of(right)
    return len(one & other) / len(one | other)


def corpus_of(size: int, seed: int = 0) -> Corpus:
    """About so many bytes: pieces of real text of 1 to 8 kB, every second one with an edited copy."""
    chance = random.Random(seed)
    pieces = [piece for text in real_texts(size * 2 // 3, seed) for piece in _pieces(text, chance)]
    vocabulary = sorted({word for piece in pieces[:500] for word in re.findall(r"\w+", piece)})
    documents: list[tuple[str, int]] = [(piece, number) for number, piece in enumerate(pieces)]
    documents += [(_edited(piece, vocabulary, chance), number) for number, piece in enumerate(pieces) if number % 2]
    chance.shuffle(documents)
    places: dict[int, list[int]] = {}
    for place, (_, number) in enumerate(documents):
        places.setdefault(number, []).append(place)
    texts = [text for text, _ in documents]
    copies = [(a, b, jaccard(texts[a], texts[b])) for a, b in (both for both in places.values() if len(both) == 2)]
    return Corpus(texts, copies)


def _pieces(text: str, chance: random.Random) -> Iterator[str]:
    while len(text) >= 1000:
        size = chance.randrange(1000, 8000)
        yield text[:size]
        text = text[size:]


def _edited(text: str, vocabulary: list[str], chance: random.Random) -> str:
    """Some words replaced: as many as leave a similarity of 0.5 to 1, for every second text of 0.8 to 0.9."""
    share = chance.choice([chance.uniform(0, 0.07), chance.uniform(0.011, 0.023)])
    parts = re.split(r"(\w+)", text)
    words = range(1, len(parts), 2)
    for place in chance.sample(words, min(len(words), int(len(words) * share) + 1)):
        parts[place] = chance.choice(vocabulary)
    return "".join(parts)


def _tables(work: Path) -> NativeTables:
    return NativeTables(work / "tables", MEMORY)


def ours(corpus: Corpus, work: Path) -> Pairs:
    write_sketches(corpus.batches(), work / "sketches")
    found = near_duplicates(Sketches([work / "sketches"]), work / "near", THRESHOLD, _tables(work))
    return [
        (int(row), int(kept))
        for row, kept in zip(found.column("document").to_pylist(), found.column("kept").to_pylist(), strict=True)
    ]


def datatrove(corpus: Corpus, work: Path) -> Pairs:
    """Its three stages with its own settings: 14 buckets of 8 hashes, five words."""
    import struct

    import xxhash
    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupSignature,
    )
    from datatrove.utils.logging import logger
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Split(WordTokenizer):  # type: ignore[misc]
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            raise NotImplementedError

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            raise NotImplementedError

    logger.remove()
    config = MinhashConfig()
    documents = (Document(text=text, id=str(number)) for number, text in enumerate(corpus.texts))
    signatures = MinhashDedupSignature(str(work / "signatures"), config, language=Split())
    # It hands its hash function text, which xxhash takes as such below version 4 only.
    signatures._hash_func = lambda text: xxhash.xxh64_intdigest(text.encode())
    signatures.run(documents)
    for bucket in range(config.num_buckets):
        stage = MinhashDedupBuckets(str(work / "signatures"), str(work / "buckets"), config=config)
        stage.run(None, bucket, config.num_buckets)
    MinhashDedupCluster(str(work / "buckets"), str(work / "clusters"), config=config, save_cluster_id=True).run(None)
    data = (work / "clusters" / "000000.clusters").read_bytes()
    kept: dict[int, int] = {}
    return [
        (document, kept[cluster])
        for document, cluster in struct.iter_unpack("<2I", data)
        if kept.setdefault(cluster, document) != document
    ]


def measured(corpus: Corpus, remove: Callable[[Corpus, Path], Pairs]) -> dict[str, float]:
    """Speed (the best of some rounds), recall and precision."""
    seconds = float("inf")
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            started = time.process_time()
            pairs = remove(corpus, Path(name))
            seconds = min(seconds, time.process_time() - started)
    kept = dict(pairs)
    together = [
        kept.get(left, left) == kept.get(right, right) for left, right, true in corpus.copies if 0.8 <= true < 0.9
    ]
    precise = [jaccard(corpus.texts[left], corpus.texts[right]) >= THRESHOLD for left, right in pairs]
    return {
        "mb_s": round(corpus.bytes / 1e6 / seconds, 2),
        "recall": round(sum(together) / len(together), 4),
        "pairs": len(together),
        "precision": round(sum(precise) / len(precise), 4),
        "removed": len(precise),
    }


def peer(size: int) -> dict[str, Any]:
    corpus = corpus_of(size)
    result: dict[str, Any] = {"megabytes": round(corpus.bytes / 1e6, 1), "documents": len(corpus.texts)}
    contestants: dict[str, Callable[[Corpus, Path], Pairs]] = {"ours": ours, "datatrove": datatrove}
    for name, remove in contestants.items():
        try:
            result[name] = measured(corpus, remove)
        except ImportError as error:
            result[name] = {"missing": str(error)}
            print(f"{name} is not installed: {error}", file=sys.stderr)
    return result


def growth(size: int) -> dict[str, Any]:
    """Each corpus holds the smaller ones. Where the machine has too little text, words are drawn anew for more."""
    largest = corpus_of(size * GROWTH[-1])
    texts = list(largest.texts)
    chance = random.Random(1)
    words = sorted({word for text in texts[:500] for word in re.findall(r"\w+", text)})
    total = largest.bytes
    while total < size * GROWTH[-1]:
        text = re.sub(
            r"\w+", lambda found: chance.choice(words) if chance.random() < 0.5 else found[0], texts[len(texts) // 2]
        )
        texts.insert(chance.randrange(len(texts)), text)
        total += len(text.encode())
    taken: dict[int, tuple[float, int]] = {}
    for times in GROWTH:
        part = Corpus(texts[: len(texts) * times // GROWTH[-1]], [])
        taken[times] = min(_seconds(part) for _ in range(ROUNDS)), part.bytes
    return {**growth_of(taken), "megabytes": round(total / 1e6, 1)}


def _seconds(corpus: Corpus) -> float:
    with tempfile.TemporaryDirectory() as name:
        started = time.process_time()
        ours(corpus, Path(name))
        return time.process_time() - started


def others(size: int) -> dict[str, float]:
    corpus = corpus_of(size)
    speeds = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        started = time.process_time()
        work()
        speeds[name] = round(corpus.bytes / 1e6 / (time.process_time() - started), 1)

    with tempfile.TemporaryDirectory() as folder:
        tables = _tables(Path(folder))
        for unit in ("document", "paragraph", "line"):
            timed(unit, lambda unit=unit: exact_duplicates(corpus.batches(), Path(folder), unit, tables))  # type: ignore[misc]
        timed("sketches", lambda: write_sketches(corpus.batches(), Path(folder) / "sketches"))
        sketches = Sketches([Path(folder) / "sketches"])
        timed("contained", lambda: contained_documents(sketches, Path(folder) / "contained", 0.9, tables))
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--megabytes", type=float, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    list(shingles(["tables are made once in a process", "…"]))
    size = int(options.megabytes * 1e6)
    results = {name: {"peer": peer, "growth": growth, "others": others}[name](size) for name in options.only}
    print(json.dumps(results, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
