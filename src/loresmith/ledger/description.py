"""What a leaf of the log says of the rows that came with it, by a rule that depends on nothing but the rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.engine import Row

from loresmith.ledger.digest import digest_bytes, digest_of

# A payload is read by people: what is longer than this stands in it by its digest.
_LONGEST_TEXT = 512
_MOST_ROWS = 16


def describe(rows: Iterable[tuple[Table, Mapping[str, Any] | Row[Any]]]) -> dict[str, Any]:
    """What a payload says of its rows: a JSON value that is equal exactly when the rows are.

    A long text stands in it by its digest, and so do bytes, and many rows of one table together.
    """
    said: dict[str, list[tuple[list[str], dict[str, Any]]]] = {}
    for table, row in rows:
        values = row._mapping if isinstance(row, Row) else row
        key = [str(values[column.name]).zfill(20) for column in table.primary_key if column.name != "leaf"]
        facts = {column.name: _fact(values.get(column.name)) for column in table.columns if column.name != "leaf"}
        said.setdefault(table.name, []).append((key, facts))
    described: dict[str, Any] = {}
    for name, pairs in said.items():
        facts_in_order = [facts for _key, facts in sorted(pairs, key=lambda pair: pair[0])]
        described[name] = (
            facts_in_order
            if len(facts_in_order) <= _MOST_ROWS
            else {"count": len(facts_in_order), "sha256": digest_of(facts_in_order)}
        )
    return described


def _fact(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return {"characters": len(value), "sha256": digest_bytes(value.encode())}
    if isinstance(value, bytes):
        return {"bytes": len(value), "sha256": digest_bytes(value)}
    if isinstance(value, float) and not math.isfinite(value):
        # NaN is stored as NULL.
        return None if math.isnan(value) else str(value)
    return value
