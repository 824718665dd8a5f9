"""What a tokenizer makes of text: bytes per token, and how much of the vocabulary is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from loresmith.data.corpus import read_documents
from loresmith.data.encoding import Encoder
from loresmith.data.sampling import in_sample
from loresmith.data.shards import SPLITS


def report_on(tokenizer: Path, corpus: Path, look: Callable[[], None], sample_bytes: int = 4_000_000) -> dict[str, Any]:
    """Measure a tokenizer on the splits of a corpus.

    Args:
        tokenizer, corpus: assets of these kinds.
        look: called after each batch; it may raise to stop.
        sample_bytes: about how many bytes of each split are encoded.

    Returns:
        For each split that has documents: documents, bytes, tokens, bytes per token, and bytes per token by language;
        and the share of the vocabulary that the sample uses.
    """
    encoder = Encoder.load(tokenizer)
    used = np.zeros(encoder.vocabulary_size, dtype=bool)
    splits = {}
    for split in SPLITS:
        whole = sum(sum(batch.to_pydict()["bytes"]) for batch in read_documents(corpus, ("bytes",), split))
        documents = 0
        by_language: dict[str, tuple[int, int]] = {}
        for batch in read_documents(corpus, ("id", "text", "language"), split):
            rows = [row for row in batch.to_pylist() if in_sample(row["id"], sample_bytes, whole)]
            for row, ids in zip(rows, encoder.documents([row["text"] for row in rows]), strict=True):
                used[ids] = True
                size, tokens = by_language.get(row["language"], (0, 0))
                by_language[row["language"]] = (size + len(row["text"].encode()), tokens + len(ids) - 1)
            documents += len(rows)
            look()
        if documents:
            size, tokens = (sum(part) for part in zip(*by_language.values(), strict=True))
            splits[split] = {
                "documents": documents,
                "bytes": size,
                "tokens": tokens,
                "bytes_per_token": _ratio(size, tokens),
                "bytes_per_token_by_language": {
                    language or "unknown": _ratio(*counts) for language, counts in sorted(by_language.items())
                },
            }
    return {
        "format": 1,
        "vocabulary_size": encoder.vocabulary_size,
        "vocabulary_used": _ratio(int(used.sum()), encoder.vocabulary_size),
        "splits": splits,
    }


def _ratio(above: int, below: int) -> float:
    return round(above / below, 4) if below else 0.0
