from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MEASURE = """
import sys
from pathlib import Path
import numpy as np
from loresmith.data.engine.native_tables import NativeTables
from loresmith.data.engine.rows import KEYED, PASSAGES, RowWriter
folder = Path(sys.argv[1])

def written(count, dtype):
    chance = np.random.default_rng(count)
    path = folder / f"{count}-{dtype.itemsize}.parquet"
    with RowWriter(path, dtype) as rows:
        for first in range(0, count, 1 << 16):
            numbers = np.arange(first, min(first + (1 << 16), count))
            keys = chance.integers(0, count // 3, len(numbers), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            keys[chance.random(len(numbers)) < 0.2] = 7  # more rows of one key than fit in memory
            places = {"start": numbers % 20 * 9, "end": numbers % 20 * 9 + 9}
            columns = {"key": keys, "document": numbers // 20, **places}
            rows.add(**{name: columns[name] for name in dtype.names})
    return [path]

def asked(count):
    tables = NativeTables(folder / "work", 16 << 20)
    tables.common_keys(written(count, KEYED), 3)
    for block in tables.repeated(written(count, PASSAGES)):
        pass
    for block in tables.neighbours(written(count, KEYED)):
        pass
    # Not getrusage: what it says of a process begins with the memory of the one that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024

print(asked(50_000), asked(200_000), asked(1_600_000))
"""


def test_joins_keep_to_their_memory_however_many_rows_there_are(tmp_path: Path) -> None:
    said = subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True)
    _, some, many = map(int, said.stdout.split())
    rows = (tmp_path / "1600000-20.parquet").stat().st_size >> 20
    assert rows > 1.5 * 16
    assert many - some < 24
    assert many < 220  # MiB, of which Python, numpy and pyarrow take up 140
