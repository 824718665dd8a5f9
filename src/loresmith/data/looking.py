"""The first rows of an asset that a condition is true of, and how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from loresmith.data.asset_rows import AssetRows
from loresmith.errors import UserError

if TYPE_CHECKING:
    from loresmith.data.conditions.condition import Condition

EDITS = "edits.parquet"


@dataclass(frozen=True)
class Looked:
    """What was found.

    Attributes:
        rows: the first of them: its number in the asset, from 1, and its values by column.
        matching: how many rows the condition is true of.
    """

    rows: tuple[tuple[int, dict[str, Any]], ...]
    matching: int


def look(asset: AssetRows, condition: Condition | None, columns: Sequence[str], limit: int) -> Looked:
    """Find rows.

    All rows are looked at, but only in the columns of the condition; memory is bounded by a batch and what is returned.

    Args:
        condition: None: every row.
        columns: what to return of each row.
        limit: how many to return at most.

    Raises:
        UserError: the condition looks for a name, such as that of a score, which no row has.
    """
    numbers: list[int] = []
    matching = 0
    if condition is None:
        matching = asset.count()
        numbers = list(range(min(limit, matching)))
    else:
        for number, chosen in _chosen(asset, condition):
            matching += chosen
            if chosen and len(numbers) < limit:
                numbers.append(number)
        condition.require_names()
    return Looked(tuple((number + 1, row) for number, row in rows_at(asset, columns, numbers)), matching)


def matching_batches(
    asset: AssetRows, condition: Condition | None, columns: Sequence[str], split: str | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows that a condition is true of, with these columns, a batch at a time.

    Args:
        condition: None: every row.
        split: only rows of this split.

    Raises:
        UserError: at once, if there are no splits; at the end, as `look`.
    """
    if split is not None and "split" not in asset.schema.names:
        raise UserError("these documents are not split yet", hint="`curate` splits them")
    looked_at = {*(condition.columns if condition is not None else ()), *(("split",) if split is not None else ())}
    needed = [*columns, *sorted(looked_at - set(columns))]
    for batch in asset.batches(needed):
        found = batch.filter(condition.mask(batch)) if condition is not None else batch
        if split is not None:
            found = found.filter(pc.equal(found.column("split"), pa.scalar(split)))
        if found.num_rows:
            yield found.select(list(columns))
    if condition is not None:
        condition.require_names()


def edits_of(directory: Path, documents: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The edits of some documents of a corpus, by id."""
    found: dict[str, list[dict[str, Any]]] = {document: [] for document in documents}
    if found and (directory / EDITS).exists():
        wanted = ds.field("id").isin(list(documents))
        columns = ["id", "start", "before_bytes"]
        for row in ds.dataset(directory / EDITS).to_table(columns=columns, filter=wanted).to_pylist():
            found[row["id"]].append(row)
    return found


def _chosen(asset: AssetRows, condition: Condition) -> Iterator[tuple[int, bool]]:
    number = 0
    for batch in asset.batches(sorted(condition.columns), 4096 if "text" not in condition.columns else 256):
        for chosen in condition.mask(batch).to_pylist():
            yield number, chosen
            number += 1


def rows_at(asset: AssetRows, columns: Sequence[str], numbers: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows with these numbers, which count from 0 and ascend."""
    wanted = iter(numbers)
    number = next(wanted, None)
    begin = 0
    for batch in asset.batches(columns):
        while number is not None and number < begin + batch.num_rows:
            yield number, batch.slice(number - begin, 1).to_pylist()[0]
            number = next(wanted, None)
        if number is None:
            return
        begin += batch.num_rows
