"""Reads the sample back: what several gateways drew apart, as one sample, and as a dataset."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.errors import Failure, UserError
from loresmith.serving.traffic_sample.features import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

Rows = list[dict[str, Any]]

Reveal = Callable[[str, bytes], dict[str, Any] | None]
"""What was said of a response, given its sealed content; None where that cannot be read."""

TRAFFIC = "traffic.parquet"
"""The file of an asset that holds a sample."""


@dataclass
class Written:
    """What was written: rows, the labels that they carry, and how many requests each stratum had."""

    rows: int = 0
    labels: set[str] = field(default_factory=set)
    seen: dict[tuple[str, str, str], int] = field(default_factory=dict)


def read_sample(
    folder: Path, *, since: str | None = None, until: str | None = None, release: str | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of `features.COLUMNS`, hour by hour, each stratum by priority, with what all processes saw of it.

    A stratum's rows are those of all processes up to the lowest of their bounds: above it, one of them may have left
    out what another would have kept.

    Args:
        since: those of this time and later (a `timestamp`).
        until: those before this time.
        release: those of `release@channel`, or of a release in all channels.

    Raises:
        Failure: a file is damaged.
    """
    if not folder.is_dir():
        return
    for day in sorted(folder.glob("????-??-??")):
        if (since is not None and day.name < since[:10]) or (until is not None and day.name > until[:10]):
            continue
        hours: dict[str, list[Path]] = defaultdict(list)
        for file in sorted(day.glob("*.parquet")):
            hours[file.name[:2]].append(file)
        for hour in sorted(hours):
            for row in _merged([_read(file) for file in hours[hour]]):
                in_time = (since is None or row["at"] >= since) and (until is None or row["at"] < until)
                if in_time and release in (None, row["release"], row["release"].partition("@")[0]):
                    yield row


def write_dataset(rows: Iterable[dict[str, Any]], reveal: Reveal | None, directory: Path) -> Written:
    """Write rows of a sample as the file of a `dataset` asset, without what was said unless `reveal` tells it.

    Raises:
        UserError: there are no rows.
    """
    import pyarrow as pa

    from loresmith.data.tables import TableWriter

    columns = [field for field in COLUMNS if field.name != "content"]
    said = [pa.field("conversation", pa.string()), pa.field("answer", pa.string())] if reveal is not None else []
    written = Written()
    with TableWriter(directory / TRAFFIC, pa.schema([*columns, *said])) as writer:
        for row in rows:
            sealed = row.pop("content")
            if reveal is not None:
                found = reveal(row["response"], sealed) if sealed is not None else None
                row["conversation"] = None if found is None else json.dumps(found["messages"], ensure_ascii=False)
                row["answer"] = None if found is None else found["answer"]
            writer.add(row, 1000)
            written.rows += 1
            written.labels.update(row["labels"])
            written.seen[row["hour"], row["release"], row["outcome"]] = row["seen"]
    if not written.rows:
        raise UserError(
            "there is no traffic in the sample",
            hint="widen --since and --until; a gateway with `traffic_sample` enabled writes it once a minute",
        )
    return written


def _merged(files: list[Rows]) -> Iterator[dict[str, Any]]:
    """The rows of one hour. Each process has of each stratum those with the lowest priorities."""
    strata: dict[tuple[str, str], list[Rows]] = defaultdict(list)
    for rows in files:
        of_file: dict[tuple[str, str], Rows] = defaultdict(list)
        for row in rows:
            of_file[row["release"], row["outcome"]].append(row)
        for stratum, drawn in of_file.items():
            strata[stratum].append(drawn)
    for _stratum, parts in sorted(strata.items()):
        cut = [max(row["priority"] for row in part) for part in parts if part[0]["seen"] > len(part)]
        bound = min(cut, default=None)
        seen = sum(part[0]["seen"] for part in parts)
        rows = [row for part in parts for row in part if bound is None or row["priority"] <= bound]
        for row in sorted(rows, key=lambda row: row["priority"]):
            yield {**row, "seen": seen}


def _read(file: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        # Opened once: a gateway at work puts a new file in its place, and parts of both would be no file.
        table: pa.Table = pyarrow.parquet.read_table(pa.BufferReader(file.read_bytes()))
    except (OSError, pa.ArrowInvalid) as error:
        raise Failure(f"this part of the traffic sample cannot be read: {error}", where=str(file)) from error
    rows: Rows = table.to_pylist()
    return rows
