"""Small corpora, as `curate` lays them out, of words that are drawn at random."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from loresmith.advice.machine import CHOICE, Machine
from loresmith.data.documents import CORPUS_COLUMNS, DocumentWriter
from loresmith.factory.step import InputAsset

EMPTY: dict[str, Any] = {
    "media_type": "text/plain",
    "language": "",
    "licence": "CC-BY-4.0",
    "labels": [],
    "collected_at": "",
    "metadata": "{}",
    "owner": "the archive",
    "uses": ["train", "evaluate", "retrieve"],
    "retain_until": "",
    "source_start": 0,
    "pages": [],
    "pieces": [],
}

SYLLABLES = ("ba", "ke", "mi", "lo", "ru", "ten", "sha", "vor", "pli", "gan", "dou", "zy")


def prose(seed: int, words: int) -> str:
    """Sentences of made-up words, the common ones far more often; different for every seed."""
    draw = random.Random(seed)
    known = ["".join(random.Random(n).choices(SYLLABLES, k=2 + n % 3)) for n in range(400)]
    chosen = [known[min(399, int(draw.paretovariate(0.7)) - 1)] for _ in range(words)]
    return ". ".join(" ".join(chosen[start : start + 9]).capitalize() for start in range(0, words, 9)) + "."


def document(path: str, text: str, split: str = "train", **more: Any) -> dict[str, Any]:
    """A row of a corpus, a group of its own."""
    size = len(text.encode())
    name = hashlib.sha256(path.encode()).hexdigest()
    own = {"id": name, "path": path, "text": text, "bytes": size, "source_bytes": size, "split": split, "group": name}
    return {**EMPTY, **own, **more}


def write_corpus(
    folder: Path, rows: Iterable[Mapping[str, Any]], metadata: Mapping[str, Any] | None = None
) -> InputAsset:
    """The asset, as a step gets it."""
    folder.mkdir(parents=True)
    with DocumentWriter(folder, CORPUS_COLUMNS) as writer:
        for row in sorted(rows, key=lambda row: str(row["path"])):
            writer.add(row)
    return InputAsset(digest="c0" * 32, kind="corpus", directory=folder, metadata=metadata or {}, labels=())


def know_machine(work: Path) -> None:
    """Lay out what a machine was measured to do, as a reproduction does: nothing is measured then."""
    machine = Machine(threads=1, memory_bytes=16 << 30, flops_per_second=1e11, pilot_tokens_per_second=1e4)
    (work / CHOICE).parent.mkdir(parents=True, exist_ok=True)
    (work / CHOICE).write_text(machine.model_dump_json(), encoding="utf-8")
