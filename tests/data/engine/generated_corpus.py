"""Documents of any number of bytes, drawn by chance; some are copies, near copies, or begin with the same notice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from loresmith.data.documents import DOCUMENT_COLUMNS
from loresmith.data.tables import TableWriter

WORDS = [f"{first}{second}{third}" for first in ("ka", "lo", "mi", "ne") for second in "aeiou" for third in "bdglmnrst"]
NOTICE = "This page belongs to the handbook of the works and may not be handed on to others.\n\n"


def generate(folder: Path, bytes_: int, files: int = 1) -> Path:
    """Write a `documents` asset of about so much text, in so many files."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    words = np.array(WORDS)
    number = 0
    last = ""
    for file in range(files):
        written = 0
        with TableWriter(folder / f"documents-{file:05}.parquet", DOCUMENT_COLUMNS) as writer:
            while written < bytes_ // files:
                kind = number % 20
                if kind == 8:
                    text = last.replace(" kab ", " nut ") + "It was changed later.\n"
                elif kind != 7:  # which says the same again
                    text = NOTICE * (kind % 3 == 0) + _prose(words, chance)
                row = {"id": f"{number:012}", "path": f"{number:08}.txt", "text": text, "bytes": len(text)}
                writer.add({**_ROW, **row}, len(text))
                written += len(text)
                number += 1
                last = text
    return folder


def _prose(words: np.ndarray[tuple[int], np.dtype[np.str_]], chance: np.random.Generator) -> str:
    chosen = words[chance.integers(0, len(words), int(chance.integers(300, 2000)))].tolist()
    sentences = [" ".join(chosen[start : start + 12]).capitalize() + "." for start in range(0, len(chosen), 12)]
    paragraphs = ["\n".join(sentences[start : start + 6]) for start in range(0, len(sentences), 6)]
    return "\n\n".join(paragraphs) + "\n"


_ROW = {
    **{field.name: "" for field in DOCUMENT_COLUMNS},
    "media_type": "text/plain",
    "licence": "CC0-1.0",
    "collected_at": "2026-11-01T00:00:00Z",
    "metadata": "{}",
    "labels": [],
    "uses": ["train"],
    "source_start": 0,
    "source_bytes": 0,
    "pages": [],
}
