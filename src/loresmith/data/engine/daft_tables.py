"""The relational parts on Daft dataframes: in this process, or spread over a Ray cluster by Daft's Ray runner.

Daft keeps what it groups and joins in memory, so a question is asked of a range of keys at a time, as large as fits.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from loresmith.data.engine.rows import PAIRS, REPEATED, SHARED, Rows
from loresmith.errors import UserError

os.environ |= {"DAFT_ANALYTICS_ENABLED": "0", "DO_NOT_TRACK": "true", "DAFT_PROGRESS_BAR": "0"}

try:
    import daft
except ImportError as error:
    raise UserError(
        f"joins on Daft need what is not installed: {error}",
        where="compute.tables",
        hint="pip install 'loresmith[daft]', or leave `tables` out",
    ) from None

from daft import DataFrame, DataType, Window, col, lit
from daft.functions import bitwise_and, shift_left, shift_right

_SHARE = 48
"""A range of rows takes on disk one part in so many of the memory."""

_SMALLEST_RANGE = 1 << 20
_BITS = lit(np.uint64(32))
_BUCKETS = lit(np.uint64(63))
_EARLIER = ("first", "before")


class DaftTables:
    """Answers from Daft. All that a process asks for run on the runner of its first.

    Args:
        work: a folder for what is in between; what is in it is removed, and nothing stays in it. Where there are
            several machines, all of them must see it, and the files of rows, under the same path.
        memory: bytes that an answer may take while it is made, unless a single key has more rows.
        runner: `ray` is the Ray that this process is connected to.
        threads: of the native runner.
    """

    def __init__(self, work: Path, memory: int, runner: Literal["native", "ray"] = "native", threads: int = 1) -> None:
        shutil.rmtree(work, ignore_errors=True)
        self._work = work
        self._range = max(_SMALLEST_RANGE, memory // _SHARE)
        self._numbers = itertools.count()
        _start_runner(runner, threads)

    def common_keys(self, files: Sequence[Path], at_least: int) -> NDArray[np.uint64]:
        common = [np.empty(0, dtype=np.uint64)]
        for rows in self._ranges([files], "key", 1 << 64):
            documents = rows.groupby("key").agg(col("document").count_distinct().alias("documents"))
            enough = documents.where(col("documents") >= lit(at_least)).select("key").sort("key")
            common.append(enough.to_arrow().column("key").to_numpy())
        return np.concatenate(common)

    def repeated(self, files: Sequence[Path]) -> Iterator[Rows]:
        def again(rows: DataFrame) -> DataFrame:
            place = shift_left(col("document").cast(DataType.uint64()), _BITS) + col("start")
            first = col("place").min().over(Window().partition_by("key"))
            rows = rows.with_column("place", place).with_column("first", first).where(col("place") > col("first"))
            return rows.select("document", shift_right(col("first"), _BITS).alias("kept"), "start", "end")

        def ordered(found: DataFrame) -> DataFrame:
            return found.sort(["document", "start"])

        return self._answer([files], again, ordered, REPEATED)

    def neighbours(self, files: Sequence[Path]) -> Iterator[Rows]:
        def paired(rows: DataFrame) -> DataFrame:
            # A window for each key would be a hundred times as slow: most keys have few rows.
            rows = rows.with_column("bucket", bitwise_and(col("key"), _BUCKETS))
            ordered = Window().partition_by("bucket").order_by("key", "document")
            rows = rows.with_column("key_before", col("key").lag(1).over(ordered))
            rows = rows.with_column("before", col("document").lag(1).over(ordered))
            rows = rows.with_column("first", col("document").min().over(Window().partition_by("key")))
            rows = rows.where(col("key_before") == col("key"))
            one, other = (rows.select(col(name).alias("left"), col("document").alias("right")) for name in _EARLIER)
            return one.concat(other).where(col("left") < col("right")).distinct()

        def ordered(found: DataFrame) -> DataFrame:
            return found.distinct().sort(["left", "right"])

        return self._answer([files], paired, ordered, PAIRS)

    def shared(self, left: Sequence[Path], right: Sequence[Path]) -> Iterator[Rows]:
        def counted(rows: DataFrame) -> DataFrame:
            one, other = (
                rows.where(col("side") == lit(side)).select("key", col("document").alias(name))
                for side, name in enumerate(("left", "right"))
            )
            pairs = one.join(other, on="key").where(col("left") < col("right"))
            return pairs.groupby("left", "right").agg(col("key").count().alias("count"))

        def ordered(found: DataFrame) -> DataFrame:
            return found.groupby("left", "right").agg(col("count").sum()).sort(["left", "right"])

        return self._answer([left, right], counted, ordered, SHARED)

    def _answer(
        self,
        sides: Sequence[Sequence[Path]],
        find: Callable[[DataFrame], DataFrame],
        order: Callable[[DataFrame], DataFrame],
        dtype: np.dtype[np.void],
    ) -> Iterator[Rows]:
        """What is found in each range of keys, put in order by ranges of the first column."""
        found = self._work / str(next(self._numbers))
        assert dtype.names is not None
        try:
            for rows in self._ranges(sides, "key", 1 << 64):
                find(rows).write_parquet(found)
            files = sorted(found.glob("*.parquet"))
            highest = max((_highest(file, dtype.names[0]) for file in files), default=0)
            for rows in self._ranges([files], dtype.names[0], highest + 1):
                table = order(rows).to_arrow()
                block = np.empty(table.num_rows, dtype=dtype)
                for name in dtype.names:
                    block[name] = table.column(name).to_numpy()
                yield block
        finally:
            shutil.rmtree(self._work, ignore_errors=True)

    def _ranges(self, sides: Sequence[Sequence[Path]], column: str, end: int) -> Iterator[DataFrame]:
        """The rows of files, with the side that they are of, for one range of a column after the other."""
        size = sum(file.stat().st_size for files in sides for file in files)
        count = max(1, -(-size // self._range))
        frames = [
            daft.read_parquet([str(file) for file in files]).with_column("side", lit(side))
            for side, files in enumerate(sides)
            if files
        ]
        if not frames:
            return
        rows = frames[0].concat(frames[1]) if len(frames) > 1 else frames[0]
        for number in range(count):
            low, high = number * end // count, (number + 1) * end // count - 1
            within = (col(column) >= lit(np.uint64(low))) & (col(column) <= lit(np.uint64(high)))
            yield rows.where(within) if count > 1 else rows


_STARTED: list[str] = []


def _start_runner(runner: Literal["native", "ray"], threads: int) -> None:
    """Daft lets a process choose once; whoever comes later works with as many threads as the first."""
    if runner in _STARTED:
        return
    _STARTED.append(runner)
    if runner == "ray":
        daft.set_runner_ray(noop_if_initialized=True)
    else:
        daft.set_runner_native(threads)


def _highest(file: Path, column: str) -> int:
    with pq.ParquetFile(file, pre_buffer=False) as table:
        return max((int(np.max(batch.column(0))) for batch in table.iter_batches(columns=[column])), default=0)
