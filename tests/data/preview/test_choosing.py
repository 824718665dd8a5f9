"""The sample of a preview is the same each time, no larger than it may be, and drawn from everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from loresmith.data.documents import DOCUMENT_COLUMNS, DocumentWriter
from loresmith.data.preview.choosing import choose_documents, choose_files
from loresmith.errors import UserError
from tests.data.tables import rows
from tests.data.written_corpora import document


@dataclass(frozen=True)
class Named:
    """A file of which nothing but its name is looked at."""

    path: str
    target = ""

    def known(self, files: Any, max_bytes: int) -> None:
        raise AssertionError("nobody asks")

    def read(self, files: Any, max_bytes: int) -> Any:
        raise AssertionError("nobody asks")


def documents(folder: Path, count: int, text: str = "word", row_groups: int = 1) -> Path:
    """So many documents, in so many row groups of two files."""
    for number in range(2 if row_groups > 1 else 1):
        folder.mkdir(parents=True, exist_ok=True)
        with DocumentWriter(folder, DOCUMENT_COLUMNS) as writer:
            for row in range(number, count, 2 if row_groups > 1 else 1):
                made = document(f"{row:05d}.txt", f"{text} {row}")
                writer.add({name: made[name] for name in DOCUMENT_COLUMNS.names})
        if row_groups > 1:
            table = pq.read_table(folder / "documents-00000.parquet")
            target = folder / f"documents-{number + 1:05d}.parquet"
            pq.write_table(table, target, row_group_size=max(1, count // row_groups))
            (folder / "documents-00000.parquet").unlink()
    return folder


def chosen(given: Path, to: Path, *limits: int) -> list[str]:
    to.mkdir()
    assert choose_documents(given, to, *limits) == len(rows(given))
    return [row["path"] for row in rows(to)]


@pytest.mark.parametrize("row_groups", [1, 60])
def test_documents_are_chosen_alike_each_time_and_from_all_over(tmp_path: Path, row_groups: int) -> None:
    given = documents(tmp_path / "in", 600, row_groups=row_groups)
    first, second = (chosen(given, tmp_path / name, 50) for name in "ab")
    assert first == second
    assert len(first) == len(set(first)) == 50
    everything = [row["path"] for row in rows(given)]
    places = [everything.index(path) for path in first]
    assert places == sorted(places)
    assert all(any(start <= place < start + 150 for place in places) for start in range(0, 600, 150))
    assert chosen(given, tmp_path / "all", 600) == everything


def test_rows_are_as_they_were(tmp_path: Path) -> None:
    given = documents(tmp_path / "in", 30)
    by_path = {row["path"]: row for row in rows(given)}
    (tmp_path / "out").mkdir()
    choose_documents(given, tmp_path / "out", 10)
    assert all(row == by_path[row["path"]] for row in rows(tmp_path / "out"))


def test_text_is_bounded_but_for_one_document(tmp_path: Path) -> None:
    given = documents(tmp_path / "in", 40, text="x" * 1000)
    assert len(chosen(given, tmp_path / "some", 40, 10_500)) == 10
    assert len(chosen(given, tmp_path / "one", 40, 10)) == 1


def test_files_stay_in_the_sample_when_others_are_added() -> None:
    files = [Named(f"docs/{number}.txt") for number in range(200)]
    first, total = choose_files(iter(files), 20)
    assert (len(first), total) == (20, 200)
    assert [file.path for file in first] == sorted(file.path for file in first)
    assert choose_files(files[::-1], 20)[0] == first
    later, _ = choose_files([*files, *(Named(f"more/{number}.txt") for number in range(20))], 20)
    assert len(set(later) & set(first)) >= 15
    assert choose_files(files, 500) == (sorted(files, key=lambda file: file.path), 200)


def test_what_are_no_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no documents here"):
        choose_documents(tmp_path, tmp_path, 5)
