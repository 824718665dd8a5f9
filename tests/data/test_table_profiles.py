"""A table is held to what is expected of records, whatever file or database it came out of."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa

from loresmith.advice.sample import Text
from loresmith.advice.scores import look
from loresmith.data.steps import CURATE, INGEST, INGEST_QUERY
from tests.data.office_files import odf, xlsx
from tests.data.tables import rows, write_files
from tests.data.test_arrow import written
from tests.data.test_structured_records import FORMATS, as_csv
from tests.step_context import as_input, run_step

READINGS = [{"sensor": f"P-{number}", "value": str(number * 7)} for number in range(12)]


def _files(folder: Path) -> Path:
    cells = "".join(f'<row r="{n}"><c r="A{n}"><v>{n * 7}</v></c></row>' for n in range(1, 13))
    row = "<table:table-row><table:table-cell><text:p>7</text:p></table:table-cell></table:table-row>"
    files = {f"readings.{form}": write(READINGS) for form, (_, write, _) in FORMATS.items()}
    files |= {
        "readings.tsv": as_csv(READINGS).replace(b",", b"\t"),
        "readings.arrow": written(pa.Table.from_pylist(READINGS), "file"),
        "readings.arrows": written(pa.Table.from_pylist(READINGS), "stream"),
        "readings.xlsx": xlsx({"Readings": cells}, []),
        "readings.ods": odf("spreadsheet", f"<table:table>{row * 12}</table:table>"),
    }
    return write_files(folder, files)


def _profiles(folder: Path, step: Any, config: dict[str, Any]) -> dict[str, set[tuple[str, str]]]:
    """By file: to which profile curation and readiness hold its documents."""
    made = run_step(step, folder / "read", config).outputs["documents"]
    settings = {"minimum_bytes": 1, "test_share": 0, "validation_share": 0}
    corpus = run_step(CURATE, folder / "curate", settings, {"documents": as_input("documents", made)}).outputs["corpus"]
    ready = {row["id"]: look(_text(row)).profile for row in rows(made.directory)}
    found: dict[str, set[tuple[str, str]]] = {}
    for row in rows(corpus.directory, "scores.parquet"):
        found.setdefault(row["path"].partition("#")[0], set()).add((row["profile"], ready[row["id"]]))
    return found


def _text(row: dict[str, Any]) -> Text:
    return Text(row["id"], row["text"], row["bytes"], row["language"], row["media_type"])


def test_tables_of_every_format_are_held_to_records(tmp_path: Path) -> None:
    found = _profiles(tmp_path, INGEST, {"path": str(_files(tmp_path / "in"))})
    assert all(held == {("records", "records")} for held in found.values()), found
    assert len(found) == len(FORMATS) + 5


def test_rows_of_a_query_are_held_to_records(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "readings.db") as database:
        database.execute("CREATE TABLE reading (sensor, value)")
        database.executemany("INSERT INTO reading VALUES (:sensor, :value)", READINGS)
    query = {"url": f"sqlite:///{tmp_path}/readings.db", "query": "SELECT * FROM reading ORDER BY sensor"}
    assert _profiles(tmp_path, INGEST_QUERY, query) == {"query": {("records", "records")}}
