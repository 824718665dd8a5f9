"""What a tokenizer makes of text: bytes per token, and how much of the vocabulary is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from loresmith.data.corpus import read_documents
from loresmith.data.encoding import Encoder
from loresmith.data.shards import SPLITS


def report_on(tokenizer: Path, corpus: Path, look: Callable[[], None], sample_bytes: int = 4_000_000) -> dict[str, Any]:
    """Measure a tokenizer on the splits of a corpus.

    Args:
        tokenizer, corpus: assets of these kinds.
        look: called after each batch; it may raise to stop.
        sample_bytes: bytes of each split that are encoded, at most; the first documents of it.

    Returns:
        For each split that has documents: documents, bytes, tokens, bytes per token, and bytes per token by language;
        and the share of the vocabulary that the sample uses.
    """
    encoder = Encoder.load(tokenizer)
    used = np.zeros(encoder.vocabulary_size, dtype=bool)
    splits = {}
    for split in SPLITS:
        documents = 0
        by_language: dict[str, tuple[int, int]] = {}
        for batch in read_documents(corpus, ("text", "language"), split):
            if sum(size for size, _ in by_language.values()) >= sample_bytes:
                break
            columns = batch.to_pydict()
            for text, language, ids in zip(
                columns["text"], columns["language"], encoder.documents(columns["text"]), strict=True
            ):
                used[ids] = True
                size, tokens = by_language.get(language, (0, 0))
                by_language[language] = (size + len(text.encode("utf-8")), tokens + len(ids) - 1)
                documents += 1
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
