"""Cases, corpora and text for the tests of contamination."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from loresmith.data.contamination.case_index import CASE_COLUMNS, CaseIndex, Rule, case_indexes
from loresmith.data.contamination.overlaps import Overlap, find_overlaps
from loresmith.data.documents import CORPUS_COLUMNS, DocumentWriter

WORDS = tuple(f"{a}{b}" for a in ("valve", "pump", "seal", "rotor", "hose", "gauge") for b in "abcdefghijklmnopqrst")


def prose(seed: int, words: int) -> str:
    """Words in an order that no other seed gives."""
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) for _ in range(words))


def batches(cases: Iterable[tuple[str, str, str]]) -> list[pa.RecordBatch]:
    """Cases, given as suite, name and text, as a suite gives them."""
    rows = [dict(zip(CASE_COLUMNS.names, case, strict=True)) for case in cases]
    return [pa.RecordBatch.from_pylist(rows, CASE_COLUMNS)]


def index_of(*texts: str, rule: Rule | None = None) -> CaseIndex:
    """An index of cases of one suite."""
    cases = [("suite", f"case-{number}", text) for number, text in enumerate(texts)]
    (index,) = case_indexes(batches(cases), rule or Rule())
    return index


def found_in(text: str, *cases: str, rule: Rule | None = None) -> list[Overlap]:
    return find_overlaps([text], index_of(*cases, rule=rule))


def write_corpus(folder: Path, texts: Sequence[str], **columns: Sequence[Any]) -> Path:
    """A corpus of texts; `columns` are values that are not the usual ones, for each document."""
    folder.mkdir(parents=True)
    with DocumentWriter(folder, CORPUS_COLUMNS) as writer:
        for number, text in enumerate(texts):
            row: dict[str, Any] = {
                "id": hashlib.sha256(f"{number} {text}".encode()).hexdigest(),
                "path": f"docs/{number}.txt",
                "text": text,
                "bytes": len(text.encode()),
                "media_type": "text/plain",
                "language": "en",
                "licence": "",
                "labels": [],
                "collected_at": "",
                "metadata": "{}",
                "owner": "",
                "uses": ["train"],
                "retain_until": "",
                "source_start": 0,
                "source_bytes": len(text.encode()),
                "pages": [],
                "split": "train",
                "group": hashlib.sha256(text.encode()).hexdigest(),
                "pieces": [],
            }
            writer.add({**row, **{name: values[number] for name, values in columns.items()}})
    return folder
