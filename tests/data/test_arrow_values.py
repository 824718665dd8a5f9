"""Times that Python's own cannot hold come through as they are, with pandas and without."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loresmith.data.readers.arrow import read_arrow
from loresmith.data.readers.parquet import read_parquet
from loresmith.data.readers.record import ReadingRules
from tests.data.test_arrow import written

MOMENT = 1_700_000_000_123_456_789  # nanoseconds
COLUMNS: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "moment": (
        pa.timestamp("ns"),
        [MOMENT, MOMENT - 789, MOMENT - 123_456_789, -1],
        [
            "2023-11-14T22:13:20.123456789",
            "2023-11-14T22:13:20.123456",
            "2023-11-14T22:13:20",
            "1969-12-31T23:59:59.999999999",
        ],
    ),
    "in a zone": (pa.timestamp("ns", "Europe/Berlin"), [MOMENT, None], ["2023-11-14T23:13:20.123456789+01:00", None]),
    "time of day": (pa.time64("ns"), [3_600_000_000_001, 10**9], ["01:00:00.000000001", "00:00:01"]),
    "duration": (pa.duration("ns"), [1_500_000_001, 10**9], [1.500000001, 1.0]),
    "list": (pa.list_(pa.timestamp("ns")), [[MOMENT], []], [["2023-11-14T22:13:20.123456789"], []]),
    "struct": (pa.struct([("at", pa.timestamp("ns"))]), [{"at": 1}], [{"at": "1970-01-01T00:00:00.000000001"}]),
    "map": (pa.map_(pa.string(), pa.time64("ns")), [[("k", 7)]], [[["k", "00:00:00.000000007"]]]),
    "after the year 9999": (
        pa.timestamp("us"),
        [10**18, 0],
        [f"{10**18} us since 1970-01-01", "1970-01-01T00:00:00"],
    ),
    "a day that no calendar has": (pa.date32(), [2**30, 1], [f"{2**30} days since 1970-01-01", "1970-01-02"]),
    "an age": (pa.duration("s"), [2**50, 60], [2.0**50, 60.0]),
}


def table(name: str) -> pa.Table:
    kind, values, _ = COLUMNS[name]
    return pa.table({"text": [f"row {n}" for n in range(len(values))], "value": pa.array(values, kind)})


def read(name: str, form: str) -> list[Any]:
    made = io.BytesIO()
    if form == "parquet":
        # Without Arrow's own schema beside it, Parquet has no durations
        pq.write_table(table(name), made)
        records = list(read_parquet(made.getvalue(), ReadingRules()))
    else:
        records = list(read_arrow(written(table(name), form), ReadingRules()))
    return [json.loads(record.metadata).get("value") for record in records]  # type: ignore[union-attr]


@pytest.mark.parametrize("form", ["parquet", "stream"])
@pytest.mark.parametrize("name", COLUMNS)
def test_every_time_is_told(name: str, form: str) -> None:
    assert read(name, form) == COLUMNS[name][2]


WITHOUT_PANDAS = """
import sys
from importlib.abc import MetaPathFinder
class NoPandas(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pandas":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoPandas())
from tests.data.test_arrow_values import COLUMNS, read
for name, (_, _, told) in COLUMNS.items():
    for form in ("parquet", "stream"):
        assert read(name, form) == told, (name, form, read(name, form))
"""


def test_it_is_told_without_pandas_too() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT_PANDAS], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
