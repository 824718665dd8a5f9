"""Looking at documents of a corpus whose texts were edited."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from loresmith.data.looking import edits_of


def test_edits_are_found_by_document_also_where_none_was_edited(tmp_path: Path) -> None:
    rows = [{"id": id_, "start": start, "before_bytes": 2} for id_, start in (("a", 1), ("b", 5), ("a", 9))]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "edits.parquet")
    found = edits_of(tmp_path, ["a", "c"])
    assert [edit["start"] for edit in found["a"]] == [1, 9]
    assert found["c"] == []
    assert edits_of(tmp_path, []) == {}
