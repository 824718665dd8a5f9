"""What a longer vocabulary gains: bytes per token before and after, and which new tokens the text uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loresmith.data.corpus import read_documents
from loresmith.data.domain_merges import Merge
from loresmith.data.encoding import Encoder
from loresmith.data.learning_sample import in_parts
from loresmith.data.sampling import in_sample
from loresmith.data.shards import SPLITS

SAMPLE_BYTES = 4_000_000
"""About how much of each split is encoded."""

SHOWN = 40
"""New tokens that the page for people lists."""


def measure_gain(
    base: Path, extended: Path, corpus: Path, merges: Sequence[Merge], look: Callable[[], None]
) -> dict[str, Any]:
    """Encode the same text with both tokenizers, split by split.

    Args:
        base, extended: folders with a tokenizer.
        corpus: an asset of this kind.
        merges: what the second has more than the first.
        look: called after each megabyte; it may raise to stop.

    Returns:
        For each split that has text: documents, bytes, tokens and bytes per token before and after, the gain (0.25: a
        quarter more bytes in a token), how many documents gave their text again, and how many new tokens stand in it;
        and for each new token its text, its count when it was learnt, and its count in the validation split.
    """
    before, after = Encoder.load(base), Encoder.load(extended)
    splits: dict[str, dict[str, Any]] = {}
    seen: Counter[int] = Counter()
    for split in SPLITS:
        whole = sum(sum(batch.to_pydict()["bytes"]) for batch in read_documents(corpus, ("bytes",), split))
        counts: Counter[str] = Counter()
        used: Counter[int] = Counter()
        for batch in read_documents(corpus, ("id", "text", "bytes"), split):
            taken = [row for row in batch.to_pylist() if in_sample(row["id"], SAMPLE_BYTES, whole)]
            for rows in in_parts(taken):
                texts = [row["text"] for row in rows]
                for row, old, new in zip(rows, before.documents(texts), after.documents(texts), strict=True):
                    counts.update(documents=1, bytes=row["bytes"], before=len(old) - 1, after=len(new) - 1)
                    counts["round_trip"] += after.text(new[:-1]) == before.text(old[:-1])
                    used.update(new[:-1].tolist())
                look()
        if counts["after"]:
            splits[split] = _row(counts, sum(merge.token in used for merge in merges))
        if split == "validation":
            seen = used
    return {
        "format": 1,
        "new_tokens": len(merges),
        "vocabulary_size": {"before": before.vocabulary_size, "after": after.vocabulary_size},
        "splits": splits,
        "tokens": [
            {
                "id": merge.token,
                "text": after.text(np.asarray([merge.token])),
                "learnt_from": merge.count,
                "in_validation": seen[merge.token],
            }
            for merge in merges
        ],
    }


def _row(counts: Counter[str], new_tokens: int) -> dict[str, Any]:
    before, after = counts["bytes"] / counts["before"], counts["bytes"] / counts["after"]
    return {
        "documents": counts["documents"],
        "bytes": counts["bytes"],
        "tokens": {"before": counts["before"], "after": counts["after"]},
        "bytes_per_token": {"before": round(before, 4), "after": round(after, 4)},
        "gain": round(after / before - 1, 4),
        "round_trip": counts["round_trip"],
        "new_tokens_used": new_tokens,
    }


def page(report: dict[str, Any]) -> str:
    """The report for people, as Markdown."""
    size = report["vocabulary_size"]
    lines = [
        "# Vocabulary, extended",
        "",
        f"{report['new_tokens']} new tokens: {size['before']} before, {size['after']} after.",
        "",
        "| split | documents | bytes per token before | after | gain | new tokens that it uses |",
        "|---|---|---|---|---|---|",
    ]
    for split, row in report["splits"].items():
        per_token = row["bytes_per_token"]
        lines.append(
            f"| {split} | {row['documents']} | {per_token['before']:.3f} | {per_token['after']:.3f} | "
            f"{row['gain']:+.1%} | {row['new_tokens_used']} |"
        )
    lines += ["", "The first that were learnt:", "", "| token | learnt from | in validation |", "|---|---|---|"]
    lines += [
        f"| {_code(token['text'])} | {token['learnt_from']} | {token['in_validation']} |"
        for token in report["tokens"][:SHOWN]
    ]
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    shown = repr(text)[1:-1].replace("|", "\\|")
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"
