"""Conditions choose the rows that SQL would, and a mistake in one is pointed at."""

from __future__ import annotations

import sqlite3
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.conditions.condition import Condition
from loresmith.errors import UserError

TABLE = pa.table(
    {
        "path": ["a/x.min.js", "b/handbuch.pdf", "c/o'neil_1.txt", "d"],
        "language": ["javascript", "de", None, ""],
        "bytes": [10, 2000, 300, 0],
        "labels": pa.array([["restricted"], [], ["a", "restricted"], None], pa.list_(pa.string())),
        "flags": pa.array([["minified"], [], [], []], pa.list_(pa.string())),
        "scores": pa.array(
            [[("words", 5.0)], [("words", 70.0), ("stop words", 0.4)], [], None], pa.map_(pa.string(), pa.float64())
        ),
        "breaches": pa.array([[{"name": "words", "value": 5.0}], [], [], None]),
        "metadata": ['{"title": "X", "page": {"n": 3}}', "{}", '{"title": 7, "ok": true}', "{}"],
    }
)


def chosen(condition: str) -> list[int]:
    """The numbers of the rows, from 0; the table is looked at in two batches."""
    compiled = Condition(condition, TABLE.schema)
    needed = TABLE.select(sorted(compiled.columns)).to_batches(max_chunksize=3)
    mask = [each for batch in needed for each in compiled.mask(batch).to_pylist()]
    compiled.require_names()
    return [number for number, true in enumerate(mask) if true]


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("language = 'de'", [1]),
        ("NOT language = 'de'", [0, 3]),
        ("language IS NULL OR language = ''", [2, 3]),
        ("path LIKE '%.min.js'", [0]),
        ("path NOT LIKE '%/%'", [3]),
        ("path = 'c/o''neil_1.txt'", [2]),
        ("bytes BETWEEN 10 AND 300", [0, 2]),
        ("100 < bytes", [1, 2]),
        ("language in ('de', 'javascript') and not bytes > 100", [0]),
        ("'restricted' IN labels", [0, 2]),
        ("'restricted' NOT IN labels", [1]),
        ("'minified' IN flags OR scores.words > 50", [0, 1]),
        ("NOT scores.words > 50", [0]),
        ('scores."stop words" < 0.5', [1]),
        ("'words' IN breaches.name", [0]),
        ("metadata.title = 'X'", [0]),
        ("metadata.title > 6.5", [2]),
        ("metadata.page.n = 3", [0]),
        ("metadata.ok = TRUE", [2]),
        ("metadata.title IS NOT NULL", [0, 2]),
        ("path = language OR bytes = 0 AND labels IS NULL", [3]),
    ],
)
def test_rows_are_chosen(condition: str, rows: list[int]) -> None:
    assert chosen(condition) == rows


@pytest.mark.parametrize(
    ("condition", "character", "said"),
    [
        ("langauge = 'de'", 1, "unknown column 'langauge'; did you mean 'language'?"),
        ("bytes > 1 AND language = de", 26, "unknown column 'de'"),
        ("bytes = 'x'", 7, "bytes is a number, and 'x' is a text"),
        ("labels = 'restricted'", 1, "ask `... IN labels`"),
        ("1 IN labels", 6, "1 cannot be in it"),
        ("scores > 1", 1, "say what of it, as in scores.words"),
        ("breaches.nam = 'x'", 1, "did you mean 'breaches.name'?"),
        ("bytes.x = 1", 1, "nothing in bytes"),
        ("(bytes = 1", 11, ") is expected here"),
        ("bytes = 1 2", 11, "AND, OR or the end is expected here"),
        ("bytes", 6, "a comparison is expected here"),
        ("language = 'de", 12, "never closed"),
        ("bytes > 3.4.5", 9, "no number"),
        ("bytes; DROP", 6, "';' means nothing here"),
        ("5 < 6", 3, "two constants"),
        ("bytes LIKE 'x%'", 7, "bytes is a number, and this takes a text"),
        ("path LIKE 3", 11, "LIKE takes a text"),
        ("'x' IS NULL", 1, "a column is expected here"),
        ("NOT " * 101 + "bytes = 1", 401, "deeper than 100"),
        ("bytes =\n 'x'", 7, "bytes is a number"),
        ("scores.wrods > 1", 1, "unknown name 'scores.wrods'; did you mean 'scores.words'?"),
        ("metadata.tilte = 'X'", 1, "did you mean 'metadata.title'?"),
    ],
)
def test_a_mistake_is_pointed_at(condition: str, character: int, said: str) -> None:
    with pytest.raises(UserError) as refused:
        chosen(condition)
    error = refused.value
    assert said in error.what
    assert error.where == f"--where, character {character}"
    line, arrow, *_ = str(error.hint).split("\n")
    assert len(arrow) - 2 == character
    assert line == condition.replace("\n", " ")


ROWS = [(name, size) for name in ("x", "y", None) for size in (-1, 0, 2, None)]

comparisons = st.one_of(
    st.tuples(st.just("number"), st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), st.integers(-2, 3)).map(
        lambda each: f"{each[0]} {each[1]} {each[2]}"
    ),
    st.sampled_from(["name = 'x'", "name <> 'y'", "name LIKE '_'", "name IS NULL", "number IS NOT NULL"]),
    st.sampled_from(["name IN ('x', 'z')", "number NOT IN (0, 2)", "number BETWEEN 0 AND 2", "'x' < name"]),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        inner.map(lambda each: f"NOT ({each})"),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(" ".join),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda each: f"({' '.join(each)})"),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(conditions)
def test_a_condition_means_what_it_means_in_sql(condition: str) -> None:
    table = pa.table({"name": [row[0] for row in ROWS], "number": pa.array([row[1] for row in ROWS], pa.int64())})
    compiled = Condition(condition, table.schema)
    mine = compiled.mask(table.to_batches()[0]).to_pylist()
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE rows (name TEXT, number INTEGER)")
        database.executemany("INSERT INTO rows VALUES (?, ?)", ROWS)
        found: list[Any] = database.execute(f"SELECT rowid FROM rows WHERE {condition} ORDER BY rowid").fetchall()
    assert [number + 1 for number, true in enumerate(mine) if true] == [row[0] for row in found]
