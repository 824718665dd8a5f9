"""The rights of a corpus in a few numbers, for the facts of the asset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LISTED = 100
"""Licences, owners and labels that are named; what is beyond the largest is added up."""

_COLUMNS = {"licences": "licence", "owners": "owner", "uses": "uses", "labels": "labels"}


def rights_facts(directory: Path, files: str = "documents-*.parquet") -> dict[str, Any]:
    """What a corpus's metadata says of rights.

    Args:
        directory: a corpus.
        files: its documents; each row counts, also of a document that a mixture repeats.

    Returns:
        `rights`: documents and bytes of text by each of the `licences` and `owners` (`not stated` where there is
        none), and by each of the `uses` and `labels` that documents have; `first_retain_until`: the earliest of the
        last days on which documents may be kept, where there is one. Empty for what an earlier version made without.
    """
    import pyarrow.dataset as ds

    table = ds.dataset([str(file) for file in sorted(directory.glob(files))], format="parquet")
    columns = [*_COLUMNS.values(), "retain_until", "bytes"]
    if not set(columns) <= set(table.schema.names):
        return {}
    found: dict[str, dict[str, list[int]]] = {name: defaultdict(lambda: [0, 0]) for name in _COLUMNS}
    first = ""
    for batch in table.to_batches(columns=columns, batch_size=4096, use_threads=False):
        for row in batch.to_pylist():
            if row["retain_until"]:
                first = min(first or row["retain_until"], row["retain_until"])
            for name, column in _COLUMNS.items():
                stated = row[column] if isinstance(row[column], list) else [row[column] or "not stated"]
                for value in stated:
                    found[name][value][0] += 1
                    found[name][value][1] += row["bytes"]
    rights = {name: _listed(amounts) for name, amounts in found.items()}
    return {"rights": rights, **({"first_retain_until": first} if first else {})}


def _listed(amounts: Mapping[str, list[int]]) -> dict[str, dict[str, int]]:
    """The largest first; the rest under one name."""
    ranked = sorted(amounts.items(), key=lambda item: (-item[1][1], item[0]))
    listed = {name: {"documents": documents, "bytes": size} for name, (documents, size) in ranked[:_LISTED]}
    rest = [amount for _, amount in ranked[_LISTED:]]
    if rest:
        listed[f"{len(rest)} others"] = {
            "documents": sum(documents for documents, _ in rest),
            "bytes": sum(size for _, size in rest),
        }
    return listed
