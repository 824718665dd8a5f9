"""What is remembered of files has a limit: what was not used for longest goes first, nothing from under a reader."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import composite

from loresmith.data.readers.record import ReadingRules
from loresmith.data.reading.cache_size import LONGEST_UNUSED_SECONDS, InUse, keep_within
from loresmith.data.reading.extraction import refusal
from loresmith.data.reading.memory import Extractions
from loresmith.data.steps import INGEST, IngestConfig
from tests.data.tables import write_files
from tests.step_context import RecordingContext

NOW = time.time()


def cached(folder: Path, ages: Mapping[str, float], size: int = 100) -> Path:
    """Files that were last used so many seconds ago."""
    for name, age in ages.items():
        path = folder / "cached" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        os.utime(path, (NOW - age, NOW - age))
    return folder / "cached"


def left(folder: Path) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in folder.glob("*/*")}


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    folder = cached(tmp_path, {"a/new": 10, "b/old": 1000, "a/older": 2000, "c/middle": 500})
    assert keep_within(folder, 250, tmp_path / "in-use") == 2
    assert left(folder) == {"a/new", "c/middle"}
    assert keep_within(folder, 250, tmp_path / "in-use") == 0


def test_what_was_not_used_for_a_month_goes_in_any_case(tmp_path: Path) -> None:
    folder = cached(tmp_path, {"a/new": 10, "a/old": LONGEST_UNUSED_SECONDS + 60})
    keep_within(folder, 10_000, tmp_path / "in-use")
    assert left(folder) == {"a/new"}


@composite
def uses(draw: Any) -> tuple[list[tuple[float, int]], int]:
    return draw(st.lists(st.tuples(st.floats(1, 10_000), st.integers(0, 50)), max_size=12)), draw(st.integers(0, 300))


@settings(max_examples=30, deadline=None)
@given(uses())
def test_no_more_is_removed_than_must_be(given_: tuple[list[tuple[float, int]], int]) -> None:
    entries, most = given_
    with tempfile.TemporaryDirectory() as name:
        for number, (age, size) in enumerate(entries):
            cached(Path(name), {f"a/{number}": age}, size)
        folder = Path(name) / "cached"
        before = {path: (path.stat().st_mtime, path.stat().st_size) for path in folder.glob("*/*")}
        keep_within(folder, most, Path(name) / "in-use")
        kept = {path: before[path] for path in folder.glob("*/*")}
    gone = sorted(set(before.items()) - set(kept.items()), key=lambda entry: (entry[1][0], entry[0]))
    assert sum(size for _, size in kept.values()) <= most
    if gone:
        assert max(used for _, (used, _) in gone) <= min([used for used, _ in kept.values()], default=NOW)
        assert sum(size for _, size in kept.values()) + gone[-1][1][1] > most


HOLDER = """
import sys, time
from pathlib import Path
from loresmith.data.reading.cache_size import InUse
with InUse(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.read()
"""


def test_what_a_running_process_has_used_stays_until_it_ends_or_is_killed(tmp_path: Path) -> None:
    notes = tmp_path / "in-use"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(notes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == "in\n"
        folder = cached(tmp_path, {"a/old": 1000, "a/used": -86_400})  # this file may have been imported long before
        keep_within(folder, 0, notes)
        assert left(folder) == {"a/used"}
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    assert list(notes.iterdir())
    keep_within(folder, 0, notes)
    assert left(folder) == set()
    assert not list(notes.iterdir())


def test_a_process_that_ends_leaves_no_note(tmp_path: Path) -> None:
    with InUse(tmp_path / "in-use"):
        assert len(list((tmp_path / "in-use").iterdir())) == 1
    assert not list((tmp_path / "in-use").iterdir())


def test_one_run_adds_no_more_than_the_limit(tmp_path: Path) -> None:
    one = refusal("damaged", "", 1)
    size = len(one.to_bytes())
    with Extractions(tmp_path, ReadingRules(), most_bytes=3 * size) as extractions:
        for number in range(8):
            extractions.keep(f"{number:064}", "a.txt", one)
        found = [number for number in range(8) if extractions.find(f"{number:064}", "a.txt")]
    assert found == [0, 1, 2]


def test_a_step_keeps_to_the_limit_and_gives_the_same(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {f"{number}.txt": f"text {number} " * 40 for number in range(12)})

    def run(name: str, most: int) -> tuple[dict[str, Any], int]:
        context = RecordingContext(tmp_path / name)
        context.folder = tmp_path / name
        context.cache_bytes = most
        made = INGEST.run(context, IngestConfig(path=str(folder)), {})
        held = sum(path.stat().st_size for path in (context.cache / "extractions").glob("*/*"))
        return dict(made.outputs["documents"].metadata), held

    large, all_of_it = run("large", 1 << 20)
    small, some = run("small", all_of_it // 3)
    none, nothing = run("none", 0)
    assert large == small == none
    assert 0 < some <= all_of_it // 3
    assert nothing == 0
