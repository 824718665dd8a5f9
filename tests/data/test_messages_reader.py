"""A file of conversations that hangs its reader, crashes it or needs too much memory stops no other."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loresmith.data.ingest import Selection
from loresmith.data.messages import Conversation
from loresmith.data.messages_ingest import IngestedMessages, MessageRules, ingest_messages
from loresmith.data.messages_reader import MessagesReader
from loresmith.data.reading.limits import Limits
from loresmith.data.rights import Rights
from loresmith.errors import Interrupted, UserError
from tests.data.conversations import jsonl
from tests.data.tables import rows, write_files
from tests.step_context import RecordingContext

TALK = {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because of the valve."}]}
GOOD = jsonl([TALK])
HUGE = b'{"messages": [' + b"[]," * 1_500_000 + b"[]]}\n"


def ingested(folder: Path, files: Mapping[str, str | bytes], limits: Limits, **rules: Any) -> IngestedMessages:
    place = write_files(folder / "in", files)
    context = RecordingContext(folder)
    selection = Selection([place], ["*"], [], 1 << 30)
    outputs = context.output("source"), context.output("dataset")
    rules = {"on_error": "quarantine", "validation_share": 0, **rules}
    result = ingest_messages(selection, MessageRules(**rules), Rights(), *outputs, context, limits=limits)
    result.books.require_balance("ingest-messages")
    assert sorted(path.name for path in outputs[1].iterdir()) == ["books.parquet", "records.parquet"]
    return result


def refused(folder: Path) -> dict[str, str]:
    found = rows(folder / "outputs" / "dataset", "books.parquet")
    return {row["path"]: row["reason"] for row in found if row["disposition"] != "kept"}


def test_what_needs_too_much_memory_is_refused_and_the_rest_is_read(tmp_path: Path) -> None:
    files = {"a.jsonl": GOOD, "b.jsonl": HUGE, "c.jsonl": GOOD}
    result = ingested(tmp_path, files, Limits(memory_bytes=64 << 20))
    assert refused(tmp_path) == {"b.jsonl": "needed too much memory"}
    assert result.records.total() == 2
    with pytest.raises(UserError, match=r"b\.jsonl: needed too much memory: more than 67108864 bytes"):
        ingested(tmp_path / "refuse", files, Limits(memory_bytes=64 << 20), on_error="refuse")


def test_a_table_that_unpacks_for_ever_is_refused_and_the_rest_is_read(tmp_path: Path) -> None:
    table = pa.table({"messages": pa.array([TALK["messages"]]).take(pa.array([0] * 300_000, pa.int32()))})
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "b.parquet", compression="zstd")
    assert (tmp_path / "in" / "b.parquet").stat().st_size < 100_000
    ingested(tmp_path, {"a.jsonl": GOOD, "c.jsonl": GOOD}, Limits(seconds=1))
    assert refused(tmp_path) == {"b.parquet": "took too long"}


def test_a_file_over_which_the_reader_dies_is_refused_and_another_reader_reads_the_next(tmp_path: Path) -> None:
    def kill() -> None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                status = (process / "status").read_text()
                command = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if f"PPid:\t{os.getpid()}\n" in status and b"loresmith.data.messages_worker" in command:
                os.kill(int(process.name), signal.SIGSEGV)

    with MessagesReader((), Limits(), tmp_path / "reading") as reader:
        (line,) = reader.read(HUGE, "b.jsonl", kill)
        assert (line.where, line.bytes) == ("b.jsonl", len(HUGE))
        assert getattr(line.found, "reason", "") == "crashed the reader"
        assert "SIGSEGV" in str(line.found)
        read = reader.read(GOOD.encode(), "a.jsonl", lambda: None)
        assert [isinstance(line.found, Conversation) for line in read] == [True]
        assert list(read) == list(read)
        assert "network" in reader.isolation
    assert not (tmp_path / "reading").exists()


def test_a_request_to_stop_ends_the_reader(tmp_path: Path) -> None:
    def stop() -> None:
        raise Interrupted("asked to")

    with pytest.raises(Interrupted), MessagesReader((), Limits(), tmp_path / "reading") as reader:
        reader.read(HUGE, "b.jsonl", stop)
    assert not (tmp_path / "reading").exists()
