"""What a person sees of a run's books."""

from __future__ import annotations

import gzip
from pathlib import Path

from tests.cli.conftest import CommandLine


def test_where_nothing_is_to_be_explained_no_reason_stands(fresh: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "pump.txt.gz").write_bytes(gzip.compress(b"Check the valve of the pump before each shift."))
    recipe = fresh.write("recipe.yaml", f"name: notes\nsteps:\n  files: {{step: ingest, path: {tmp_path / 'notes'}}}\n")
    done = fresh("run", recipe)
    assert done.status == 0, done.err
    (documents,) = [
        line.split() for line in done.out.splitlines() if line.startswith("files") and "documents " in line
    ][-1:]
    assert documents == ["files", "documents", "2", "1", "1", "unpacked"]
