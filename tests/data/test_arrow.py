"""Arrow files and streams are read row by row, whatever state they are in."""

from __future__ import annotations

import pickle
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pytest

from loresmith.data.file_types import file_type
from loresmith.data.readers.arrow import read_arrow
from loresmith.data.readers.record import ReadingRules, Record, Refused

TABLE = pa.table({"text": [f"row {number} " * 20 for number in range(100)], "n": range(100)})


def written(table: pa.Table = TABLE, form: str = "stream", **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    new = pyarrow.ipc.new_stream if form == "stream" else pyarrow.ipc.new_file
    with new(sink, table.schema, options=pyarrow.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=30)
    return sink.getvalue().to_pybytes()


def read(data: bytes, **rules: Any) -> list[Any]:
    found: list[Any] = list(read_arrow(data, ReadingRules(**rules)))
    assert sum(each.bytes for each in found) == len(data)
    assert all(isinstance(each, Record | Refused) for each in found)
    return found


@pytest.mark.parametrize("form", ["stream", "file"])
@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}])
def test_each_row_is_a_record(form: str, options: dict[str, Any]) -> None:
    found = read(written(form=form, **options))
    assert [each.text for each in found] == TABLE["text"].to_pylist()
    assert [found[0].anchor, found[99].metadata] == ["#row-1", '{"n":99}']


@pytest.mark.parametrize("form", ["stream", "file"])
def test_it_is_known_by_name_or_content(form: str) -> None:
    assert file_type("data-00000-of-00001.arrow", written(form=form)).media_type.endswith("arrow.stream")
    assert file_type("x", written(form="file")).media_type.endswith("arrow.stream")


@pytest.mark.parametrize("form", ["stream", "file"])
def test_no_damage_is_worse_than_a_refusal(form: str) -> None:
    randomness = random.Random(5)
    whole = written(form=form)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(randomness.randint(1, 8)):
            data[randomness.randrange(len(data))] = randomness.randrange(256)
        read(bytes(data[: randomness.randrange(len(data))] if randomness.random() < 0.4 else data))


def test_what_is_there_before_the_damage_is_read() -> None:
    data = written()
    found = read(data[: len(data) * 3 // 4])
    assert isinstance(found[-1], Refused)
    assert found[-1].reason == "damaged"
    assert [each.text for each in found[:30]] == TABLE["text"].to_pylist()[:30]


def test_a_table_without_rows_is_empty() -> None:
    [refused] = read(written(TABLE.slice(0, 0)))
    assert (refused.reason, refused.anchor) == ("empty", "")


def test_a_small_file_does_not_become_a_large_one() -> None:
    bomb = pa.table({"text": ["x" * (4 << 20)] * 8})
    data = written(bomb, compression="zstd")
    assert len(data) < 100_000
    found = read(data, max_unpacked_bytes=8 << 20)
    assert found[-1].reason == "unpacks to too much"


def test_a_column_whose_name_is_no_text_is_damage() -> None:
    data = written(pa.table({"text": ["a"], "column": [1]}))
    (refused,) = read(data.replace(b"column", b"colum\xff"))
    assert refused.reason == "damaged"


def test_two_columns_of_one_name_are_refused() -> None:
    table = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["text", "text"])
    assert [each.reason for each in read(written(table))] == ["damaged"]


class Trap:
    """What a pickle could do when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    metadata = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": trap}
    field = pa.field("text", pa.string(), metadata=metadata)
    table = pa.Table.from_arrays([pa.array(["harmless"])], schema=pa.schema([field]))
    found = read(written(table))
    assert not (tmp_path / "sprung").exists()
    assert [each.text for each in found] == ["harmless"]
    pickle.loads(trap)  # noqa: S301 - the trap works
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("form", ["stream", "file"])
def test_lists_that_lead_out_of_the_file_do_not_end_the_process(form: str, tmp_path: Path) -> None:
    whole = written(pa.table({"text": ["one"] * 18, "labels": [["x"]] * 18}), form)
    ends = struct.pack("<18i", *range(1, 19))  # where the lists end, and their labels too
    assert whole.count(ends) == 2
    begin = whole.index(ends) + len(ends) - 4
    damaged = whole[:begin] + struct.pack("<i", 500_000_000) + whole[begin + 4 :]
    (tmp_path / "damaged").write_bytes(damaged)
    script = (
        "import pathlib, sys\n"
        "from loresmith.data.readers.arrow import read_arrow\n"
        "from loresmith.data.readers.record import ReadingRules\n"
        "print([each.reason for each in read_arrow(pathlib.Path(sys.argv[1]).read_bytes(), ReadingRules())])\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "damaged")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "['damaged']"), done.stderr
