"""Rows and objects become text by one rule, whatever held them, and every byte of their file is accounted for."""

from __future__ import annotations

import datetime
import io
import json
import sqlite3
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.file_types import file_type
from loresmith.data.readers.csv_dialect import find_dialect
from loresmith.data.readers.csv_table import read_csv, read_tsv
from loresmith.data.readers.json_document import read_json
from loresmith.data.readers.jsonl import read_jsonl
from loresmith.data.readers.parquet import read_parquet
from loresmith.data.readers.record import Reader, ReadingRules, Record, Refused
from loresmith.data.readers.sqlite import read_sqlite

RULES = ReadingRules()
FAULTS = [
    {"code": "E1", "cause": "pump", "text": "It leaks."},
    {"code": "E2", "cause": "seal", "text": "It drips.\nOften."},
]


def read(reader: Reader, data: bytes, rules: ReadingRules = RULES) -> list[Record | Refused]:
    found = [part for part in reader(data, rules) if isinstance(part, Record | Refused)]
    assert sum(part.bytes for part in found) == len(data)
    return found


def kept(found: list[Record | Refused]) -> list[Record]:
    assert all(isinstance(part, Record) for part in found), found
    return [part for part in found if isinstance(part, Record)]


def reasons(found: list[Record | Refused]) -> list[tuple[str, str]]:
    return [(part.anchor, part.reason) for part in found if isinstance(part, Refused)]


def as_csv(records: list[dict[str, str]]) -> bytes:
    rows = [list(records[0]), *(list(record.values()) for record in records)]
    return "".join(",".join(f'"{cell}"' for cell in row) + "\r\n" for row in rows).encode()


def as_parquet(records: list[dict[str, Any]]) -> bytes:
    made = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), made)
    return made.getvalue()


def as_sqlite(script: str, *rows: tuple[str, list[tuple[Any, ...]]]) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.executescript(script)
    for statement, values in rows:
        connection.executemany(statement, values)
    connection.commit()
    return connection.serialize()


def faults_in_sqlite(records: list[dict[str, str]]) -> bytes:
    columns = ", ".join(records[0])
    marks = ", ".join("?" * len(records[0]))
    values = [tuple(record.values()) for record in records]
    return as_sqlite(f"CREATE TABLE fault ({columns})", (f"INSERT INTO fault VALUES ({marks})", values))


FORMATS: dict[str, tuple[Reader, Callable[[list[dict[str, str]]], bytes], tuple[str, str]]] = {
    "csv": (read_csv, as_csv, ("#L2", "#L3")),
    "json": (read_json, lambda records: json.dumps(records, indent=1).encode(), ("#/0", "#/1")),
    "jsonl": (read_jsonl, lambda records: "\n".join(map(json.dumps, records)).encode(), ("#L1", "#L2")),
    "parquet": (read_parquet, as_parquet, ("#row-1", "#row-2")),
    "sqlite": (read_sqlite, faults_in_sqlite, ("#fault/1", "#fault/2")),
}


@pytest.mark.parametrize("form", FORMATS)
def test_records_are_the_same_in_every_format(form: str) -> None:
    reader, write, anchors = FORMATS[form]
    data = write(FAULTS)
    assert file_type("x." + form, data).read is reader

    by_field = kept(read(reader, data))
    assert [(record.text, record.anchor) for record in by_field] == [
        ("It leaks.", anchors[0]),
        ("It drips.\nOften.", anchors[1]),
    ]
    metadata = json.loads(by_field[0].metadata)
    assert {name: metadata[name] for name in ("code", "cause")} == {"code": "E1", "cause": "pump"}
    assert "text" not in metadata

    by_template = kept(read(reader, data, ReadingRules(template="{{ code }} ({{ cause | upper }}): {{ text }}")))
    assert by_template[0].text == "E1 (PUMP): It leaks."
    assert json.loads(by_template[1].metadata)["text"] == "It drips.\nOften."

    without = write([{"code": "E1", "note": "a\nb"}, {"code": "E2", "note": ""}])
    assert [record.text for record in kept(read(reader, without))] == ["code: E1\nnote:\na\nb\n", "code: E2\n"]

    labelled = write([{"text": "x", "who": "hr; board"}, {"text": "y", "who": ""}])
    found = kept(read(reader, labelled, ReadingRules(labels_field="who")))
    assert [record.labels for record in found] == [("board", "hr"), ()]
    assert "who" not in found[0].metadata


@pytest.mark.parametrize("form", FORMATS)
def test_records_without_the_field_for_labels_are_refused_with_the_nearest(form: str) -> None:
    reader, write, _ = FORMATS[form]
    for part in read(reader, write([{"text": "x", "labels": "hr"}]), ReadingRules(labels_field="lables")):
        assert isinstance(part, Refused)
        assert part.reason == "no labels"
        assert "did you mean 'labels'?" in part.detail


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize("value", [7, 0, 1.5, True, False, ["hr", 7], [None], [{"name": "hr"}], {"name": "hr"}])
def test_what_is_no_label_is_refused(form: str, value: Any) -> None:
    if value == ["hr", 7] and form == "parquet":
        return  # no column of Parquet holds both
    reader, write, anchors = FORMATS[form]
    write = as_parquet if form == "parquet" else write
    found = read(reader, write([{"text": "x", "who": value}]), ReadingRules(labels_field="who"))
    assert reasons(found) == [(anchors[0], "no labels")]


@pytest.mark.parametrize("value", [None, "", [], ["hr", " board "], "hr|board"])
def test_nothing_is_no_label_and_lists_are_some(value: Any) -> None:
    found = kept(read(read_jsonl, json.dumps({"text": "x", "who": value}).encode(), ReadingRules(labels_field="who")))
    assert found[0].labels == (("board", "hr") if value else ())


def test_an_object_that_is_a_document_has_its_labels() -> None:
    rules = ReadingRules(labels_field="who")
    assert kept(read(read_json, b'{"body": "x", "who": ["hr"]}', rules))[0].labels == ("hr",)
    assert kept(read(read_json, b'{"body": "x"}', rules))[0].labels == ()
    assert reasons(read(read_json, b'{"body": "x", "who": 7}', rules)) == [("", "no labels")]


def test_a_blob_is_no_label() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE fault (text TEXT, who)")
    connection.execute("INSERT INTO fault VALUES ('x', x'6872'), ('y', 3), ('z', NULL)")
    connection.commit()
    found = read(read_sqlite, connection.serialize(), ReadingRules(labels_field="who"))
    assert reasons(found) == [("#fault/1", "no labels"), ("#fault/2", "no labels")]


HEADERS = {
    "a value that is a column's name": b"id,title,labels,text\n1,pump,hr,It leaks.\n2,title,hr,It sticks.\n",
    "a column called by a year": b"id,labels,2024,text\n1,hr,5,It leaks.\n2,hr,7,It sticks.\n",
    "a column without a name": b",labels,text\n0,hr,It leaks.\n1,hr,It sticks.\n",
    "two columns of one name": b"a,a,labels,text\n0,0,hr,It leaks.\n1,1,hr,It sticks.\n",
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize(
    "rules",
    [
        ReadingRules(labels_field="labels"),
        ReadingRules(labels_field="labels", text_field="body", template="{{ text }}"),
        ReadingRules(labels_field="labels", text_field="body", template="{{ record['text'] }}"),
    ],
    ids=["text", "template", "template with brackets"],
)
def test_a_row_with_a_field_that_the_recipe_names_is_the_header(kind: str, rules: ReadingRules) -> None:
    found = kept(read(read_csv, HEADERS[kind], rules))
    assert [(record.text, record.labels) for record in found] == [("It leaks.", ("hr",)), ("It sticks.", ("hr",))]
    alone = ReadingRules(text_field=rules.text_field, template=rules.template)
    assert [record.text for record in kept(read(read_csv, HEADERS[kind], alone))] == ["It leaks.", "It sticks."]


def test_no_column_is_lost_under_another_of_its_name() -> None:
    (record,) = kept(read(read_csv, b"a,a,,text\n1,2,3,It leaks.\n"))
    told = {name: value for name, value in json.loads(record.metadata).items() if name != "dialect"}
    assert told == {"a": "1", "a_2": "2", "column_3": "3"}
    for row in (b"labels,labels,text", b"labels,text,text"):
        found = read(read_csv, row + b"\n1,2,It leaks.\n", ReadingRules(labels_field="labels"))
        assert reasons(found) == [("", "damaged")]


def test_a_short_row_without_labels_is_refused() -> None:
    found = read(read_csv, b"text,labels\nIt leaks.,hr\nIt sticks.\n", ReadingRules(labels_field="labels"))
    assert reasons(found) == [("#L3", "no labels")]


@pytest.mark.parametrize("form", FORMATS)
def test_a_template_that_names_no_column_is_answered_with_the_nearest(form: str) -> None:
    reader, write, _ = FORMATS[form]
    for part in read(reader, write(FAULTS), ReadingRules(template="{{ cuase }}")):
        assert isinstance(part, Refused)
        assert part.reason == "template"
        assert "did you mean 'cause'?" in part.detail


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_byte_range_of_a_record_is_where_it_stands(form: str, encoding: str) -> None:
    if form == "jsonl" and encoding == "utf-16":
        return  # JSON Lines is UTF-8
    reader, write, _ = FORMATS[form]
    records = [{"text": f"größe {number}", "n": str(number)} for number in range(20)]
    data = write(records).decode().replace("\\u00f6", "ö").replace("\\u00df", "ß").encode(encoding)
    found = kept(read(reader, data))
    at = 0
    for number, record in enumerate(found):
        assert record.start == at
        piece = data[at : at + record.bytes].decode("utf-16-le" if encoding == "utf-16" else "utf-8", "ignore")
        assert f"größe {number}" in piece
        assert f"größe {number + 1}" not in piece
        at += record.bytes


CSV = {
    "semicolons": (b"id;name\r\n1;a, b\r\n2;c\r\n", ";", True),
    "tabs": (b"id\tname\n1\ta, b\n", "\t", True),
    "bars": (b"id|name\n1|a\n2|b\n", "|", True),
    "no header": (b"1,2.5,2026-01-01\n3,4,2026-01-02\n", ",", False),
    "a repeated name": (b"a,a\n1,2\n", ",", False),
    "one column": (b"name\nfirst value\nsecond value\n", "", True),
    "numbers with commas in quotes": (b'a;b\n"1,5";2\n"2,5";3\n', ";", True),
}


@pytest.mark.parametrize("kind", CSV)
def test_how_a_table_is_written_is_found_and_said(kind: str) -> None:
    data, delimiter, header = CSV[kind]
    dialect = find_dialect(data.decode())
    assert (dialect.delimiter, dialect.has_header) == (delimiter, header)
    record = kept(read(read_csv, data))[0]
    assert json.loads(record.metadata)["dialect"] == {"delimiter": delimiter, "header": header}


def test_cells_go_over_lines_and_rows_may_be_short() -> None:
    data = b'a,b,c\n1,"two\nlines, ""quoted""",3\n4\n\n5,6,7,\n'
    found = kept(read(read_csv, data))
    assert [record.text for record in found] == [
        'a: 1\nb:\ntwo\nlines, "quoted"\nc: 3\n',
        "a: 4\n",
        "a: 5\nb: 6\nc: 7\n",
    ]
    assert [record.anchor for record in found] == ["#L2", "#L4", "#L6"]
    assert kept(read(read_tsv, b"a\tb\n1,5\t2\n"))[0].text == "a: 1,5\nb: 2\n"


def test_bad_rows_do_not_spoil_the_others() -> None:
    data = b'a,b\n1,"never closed\n2,x\n3,4,5\n6,7\n'
    found = read(read_csv, data)
    assert reasons(found) == [("#L2", "damaged"), ("#L4", "damaged")]
    assert [part.text for part in found if isinstance(part, Record)] == ["a: 2\nb: x\n", "a: 6\nb: 7\n"]
    for quotation in (b'8,"over\nlines"\n', b'"",""\n8,"over\nlines"\n9,"never\n'):
        found = read(read_csv, data + quotation)
        assert "a: 8\nb:\nover\nlines\n" in [part.text for part in found if isinstance(part, Record)]


@pytest.mark.parametrize(
    "data",
    [
        b'a,b\n1,"' + b"x" * 10_000_000 + b'"\n',
        b"a,b\n1," + b"x" * 10_000_000 + b"\n",
        b'"\n' * 200_000,
        b'a,"b\n' * 100_000,
        b",\n" * 200_000,
        b"a" * 3_000_000,
        b'"a\n' * 10_001 + b"\n" * 100_000,
        b"a,b\r" * 100_000,
    ],
    ids=["10 MB quoted", "10 MB", "quotes", "open quotes", "empty", "one line", "long quotation", "returns"],
)
def test_hostile_tables_take_linear_time(data: bytes) -> None:
    started = time.process_time()
    assert read(read_csv, data)
    assert time.process_time() - started < 5


@given(st.lists(st.sampled_from([*'a1,;\t|"\n\r ', "é", '""', "\r\n"]), max_size=60).map("".join))
def test_every_byte_of_a_table_is_accounted_for(text: str) -> None:
    found = read(read_csv, text.encode())
    at = 0
    for part in found:
        if isinstance(part, Record):
            assert part.start == at
        at += part.bytes


def test_json_that_is_no_list_of_objects_is_one_document() -> None:
    for data in (b'{"name": "x", "list": [1, 2]}', b"[1, 2, 3]", b'"text"', b"[[]]", b"[]"):
        (record,) = kept(read(read_json, data))
        assert (record.text, record.language) == (data.decode(), "json")
    (record,) = kept(read(read_json, b'{"text": "hello", "n": 1}'))
    assert (record.text, record.metadata) == ("hello", '{"n":1}')


def test_damage_in_json_is_refused_from_there_on() -> None:
    found = read(read_json, b'[{"a": 1}, 7, {"a": 2}, {"a": ')
    assert reasons(found) == [("#/1", "not a JSON object"), ("#/3", "damaged")]
    assert reasons(read(read_json, b'[{"a": 1} {"a": 2}]')) == [("#/1", "damaged")]
    assert reasons(read(read_json, b'{"a": NaN}')) == [("", "not JSON")]


@pytest.mark.parametrize("data", [b"[" * 100_000, b'[{"a":' * 100_000, b'{"a":' * 100_000, b"[{}," * 100_000])
def test_json_nested_without_end_is_refused(data: bytes) -> None:
    started = time.process_time()
    assert all(isinstance(part, Refused) or part.text == "" for part in read(read_json, data))
    assert time.process_time() - started < 5


@settings(max_examples=200)
@given(st.lists(st.sampled_from(['{"a":1}', '{"text":"é"}', ",", "[", "]", " ", "1", '"', "null", "\n"]), max_size=12))
def test_every_byte_of_json_is_accounted_for(parts: list[str]) -> None:
    read(read_json, "".join(parts).encode())


def test_parquet_keeps_what_json_can_hold() -> None:
    data = as_parquet(
        [
            {
                "when": datetime.datetime(2026, 1, 2, 3, 4),
                "cost": Decimal("1.50"),
                "raw": b"\0\1",
                "list": [1, 2],
                "none": None,
            }
        ]
    )
    (record,) = kept(read(read_parquet, data))
    assert record.text == "when: 2026-01-02T03:04:00\ncost: 1.50\nraw: (2 bytes)\nlist: [1, 2]\n"


def test_a_small_parquet_file_of_many_rows_is_stopped_by_what_it_decodes_to() -> None:
    made = io.BytesIO()
    pq.write_table(pa.table({"n": pa.nulls(5_000_000, pa.string())}), made)
    assert len(made.getvalue()) < 1 << 17
    found = read(read_parquet, made.getvalue(), ReadingRules(max_unpacked_bytes=1 << 19))
    assert reasons(found) == [("#rows", "unpacks to too much")]
    assert len(found) < 1 << 15


def test_a_text_that_a_parquet_file_repeats_is_held_once() -> None:
    made = io.BytesIO()
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 5000), ["x" * 200_000])
    pq.write_table(pa.table({"text": repeated}), made, store_schema=False)
    stream = read_parquet(made.getvalue(), ReadingRules(max_unpacked_bytes=1 << 26))
    assert sum(isinstance(part, Record) for part in islice(stream, 1000)) == 1000


SCHEMA = """
CREATE TABLE ticket (id INTEGER PRIMARY KEY, note TEXT, picture BLOB, loud TEXT AS (upper(note)) VIRTUAL);
CREATE TABLE "odd ""name""/.." (k TEXT PRIMARY KEY, rowid TEXT) WITHOUT ROWID;
CREATE TABLE empty (x);
CREATE VIEW every AS SELECT * FROM ticket;
CREATE TRIGGER wipe AFTER INSERT ON ticket BEGIN DELETE FROM ticket WHERE id = 1; END;
CREATE VIRTUAL TABLE found USING fts5(body);
INSERT INTO found VALUES ('text of a search index');
"""


def test_sqlite_gives_the_rows_of_tables_and_runs_nothing() -> None:
    rows = [(7, "hello", b"\0\1"), (9, "bye", None)]
    data = as_sqlite(
        SCHEMA,
        ("INSERT INTO ticket VALUES (?, ?, ?)", rows),
        ('INSERT INTO "odd ""name""/.." VALUES (?, ?)', [("k", "v")]),
    )
    found = read(read_sqlite, data)
    assert [(part.anchor, part.text) for part in found if isinstance(part, Record)] == [
        ('#odd "name"/../1', "k: k\nrowid: v\n"),
        ("#ticket/7", "id: 7\nnote: hello\npicture: (2 bytes)\nloud: HELLO\n"),
        ("#ticket/9", "id: 9\nnote: bye\nloud: BYE\n"),
    ]
    assert reasons(found) == [("#found", "unsupported")]


def test_a_virtual_table_is_in_the_books_once_and_what_it_keeps_aside_is_not() -> None:
    script = "CREATE VIRTUAL TABLE a USING fts5(body); CREATE VIRTUAL TABLE b USING rtree(id, low, high);"
    notes = [(f"note {number} on the pump",) for number in range(50)]
    found = read(read_sqlite, as_sqlite(script, ("INSERT INTO a VALUES (?)", notes)))
    assert reasons(found) == [("#a", "unsupported"), ("#b", "unsupported")]
    assert all(part.bytes > 0 for part in found)


def test_sqlite_cannot_reach_beyond_its_bytes(tmp_path: Path) -> None:
    """A schema that was written by hand: a column computed by a function that reaches out, or without end."""
    reach = "CREATE TABLE t (x, y AS (zeroblob(100000000)) VIRTUAL); INSERT INTO t VALUES (1);"
    assert {reason for _, reason in reasons(read(read_sqlite, as_sqlite(reach)))} == {"damaged"}
    before = set(tmp_path.iterdir())
    connection = sqlite3.connect(tmp_path / "log.db")
    connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES ('logged');")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert kept(read(read_sqlite, (tmp_path / "log.db").read_bytes()))[0].text == "x: logged\n"
    assert {path.name for path in set(tmp_path.iterdir()) - before} == {"log.db"}


def test_a_damaged_sqlite_file_is_refused_from_there_on() -> None:
    values = [(f"note {number} " * 20,) for number in range(2000)]
    data = as_sqlite("CREATE TABLE t (note)", ("INSERT INTO t VALUES (?)", values))
    assert len(kept(read(read_sqlite, data))) == 2000
    middle = len(data) // 2
    found = read(read_sqlite, data[:middle] + b"\xff" * 8192 + data[middle + 8192 :])
    assert {reason for _, reason in reasons(found)} == {"damaged"}
    assert reasons(read(read_sqlite, b"SQLite format 3\0" + bytes(84))) != []
    assert reasons(read(read_sqlite, as_sqlite("CREATE TABLE t (x)"))) == [("", "empty")]
    assert reasons(read(read_sqlite, b"")) == [("", "empty")]
    wrong = as_sqlite("CREATE TABLE t (x TEXT); INSERT INTO t VALUES (CAST(x'ff' AS TEXT)), ('good');")
    found = read(read_sqlite, wrong)
    assert reasons(found) == [("#t/1", "undecodable")]


def test_json_lines_say_where_they_stand() -> None:
    data = b'\xef\xbb\xbf{"text": "a"}\n\n{"text": "b"}'
    found = read(read_jsonl, data)
    assert [(part.start, part.bytes) for part in found if isinstance(part, Record)] == [(0, 17), (18, 13)]
