"""A repository, a query and a dataset are read again from their snapshots, whatever has become of the originals."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dulwich import porcelain

from loresmith.data.steps import INGEST_DATASET, INGEST_GIT, INGEST_QUERY, IngestGitConfig
from loresmith.errors import UserError
from loresmith.factory.step import Result, Step
from tests.data.conversations import asked
from tests.data.tables import files_of, rows, write_files
from tests.factory.conftest import Factory
from tests.step_context import RecordingContext, run_step

AUTHOR = b"Ada \xc3\x96 <ada@example.org>"


def commit(folder: Path, message: str, at: int) -> None:
    porcelain.add(str(folder))
    times = {"author_timestamp": at, "author_timezone": 3600, "commit_timestamp": at + 60, "commit_timezone": 0}
    porcelain.commit(str(folder), message=message.encode(), author=AUTHOR, committer=AUTHOR, **times)


def require_from_snapshot(factory: Factory) -> None:
    """Without the original the same comes out, the snapshot itself included."""
    (step,) = factory.workspace.assets["test/a.source"].reproduce().steps
    assert (step.outcome, step.sources) == ("same", "snapshot"), step.reason
    assert [output.role for output in step.outputs if not output.same] == []
    assert step.outputs


def require_the_same_again(
    step: Step, tmp_path: Path, settings: dict[str, Any], take_away: Callable[[], object]
) -> Result:
    """As `require_from_snapshot`, of the step alone."""
    assert step.restore_sources is not None
    config = step.config.model_validate(settings)
    first = run_step(step, tmp_path / "first", settings)
    fingerprint = step.fingerprint_of(config, None, frozenset())
    take_away()
    folder = tmp_path / "restored"
    folder.mkdir()
    made = {role: output.directory for role, output in first.outputs.items()}
    again = step.restore_sources(config, made, folder)
    assert step.fingerprint_of(again, None, frozenset()) == fingerprint
    second = run_step(step, tmp_path / "second", again.model_dump(mode="json"))
    for role, output in first.outputs.items():
        assert files_of(second.outputs[role].directory) == files_of(output.directory)
        assert second.outputs[role].metadata == output.metadata
        assert second.outputs[role].labels == output.labels
    assert second.books == first.books
    return first


def repository(folder: Path) -> Path:
    files = {"a.txt": "first\n", "a/b.md": "# of a folder\n", "a-b.txt": "between\n", "öl.txt": "Öl\n"}
    write_files(folder, {**files, "x/private.txt": "nobody is to read this"})
    porcelain.init(str(folder))
    (folder / "link.txt").symlink_to("a.txt")
    (folder / "big.txt").write_text("z" * 3000)
    commit(folder, "Begin\n\nAuthor: nobody", 1_700_000_000)
    (folder / "a.txt").write_text("second\n")
    (folder / "a.txt.rights.yaml").write_text("licence: CC0-1.0\n")
    commit(folder, "Go on", 1_600_000_000)  # a clock that went back
    return folder


GIT = {"history": True, "exclude": ["x"], "max_file_bytes": 2500}


def test_a_repository_that_was_deleted(factory: Factory, tmp_path: Path) -> None:
    folder = repository(tmp_path / "repo")
    settings = json.dumps({"step": "ingest-git", "path": str(folder), **GIT})
    factory.workspace.run(factory.recipe(f"a: {settings}"))
    shutil.rmtree(folder)
    require_from_snapshot(factory)


@pytest.mark.parametrize("settings", [GIT, {**GIT, "history": False}, {"history": True, "include": ["*.md"]}, {}])
def test_whatever_of_a_repository_was_read(tmp_path: Path, settings: dict[str, Any]) -> None:
    folder = repository(tmp_path / "repo")
    settings = {"path": str(folder), **settings}
    made = require_the_same_again(INGEST_GIT, tmp_path, settings, lambda: shutil.rmtree(folder))
    assert (made.outputs["source"].directory / "files/x/private.txt").exists() == (settings.keys() == {"path"})


def test_a_snapshot_that_lacks_what_only_the_repository_knew_is_not_run_from(tmp_path: Path) -> None:
    """As those of earlier versions did."""
    assert INGEST_GIT.restore_sources is not None
    settings = {"path": str(repository(tmp_path / "repo"))}
    made = {role: output.directory for role, output in run_step(INGEST_GIT, tmp_path / "a", settings).outputs.items()}
    (made["source"] / "repository.json").unlink()
    with pytest.raises(UserError, match=r"before snapshots of Git had repository\.json\n.*run the recipe again"):
        INGEST_GIT.restore_sources(IngestGitConfig.model_validate(settings), made, tmp_path)


def test_what_was_erased_is_not_made_up(tmp_path: Path) -> None:
    """A commit that was left out is in the books, and its text is not there to be left out again."""
    assert INGEST_GIT.restore_sources is not None
    settings = {"path": str(repository(tmp_path / "repo")), "history": True}
    documents = run_step(INGEST_GIT, tmp_path / "a", settings).outputs["documents"].directory
    context = RecordingContext(tmp_path / "b")
    context.erased = frozenset({rows(documents)[-1]["id"]})
    result = run_step(INGEST_GIT, tmp_path / "b", settings, context=context)
    made = {role: output.directory for role, output in result.outputs.items()}
    with pytest.raises(UserError, match="erased"):
        INGEST_GIT.restore_sources(IngestGitConfig.model_validate(settings), made, tmp_path)


def test_a_database_whose_rows_are_others_now(factory: Factory, tmp_path: Path) -> None:
    place = tmp_path / "faults.db"
    with sqlite3.connect(place) as database:
        database.execute("CREATE TABLE fault (code TEXT, remedy TEXT, seen INTEGER, share REAL, labels TEXT)")
        rows = [
            ("E1", "Fill\nthe tank.", 3, 0.1, "internal"),
            ("E2", "", 2**62, 1e300, ""),
            ("E3", "Ölwechsel", 1, 5, "hr"),
        ]
        database.executemany("INSERT INTO fault VALUES (?, ?, ?, ?, ?)", rows)
    query = "SELECT code, remedy, seen, share, labels FROM fault ORDER BY code"
    settings = f"url: 'sqlite:///{place}', query: '{query}', text_field: remedy, labels_field: labels, labels: [plant]"
    factory.workspace.run(factory.recipe(f"a: {{step: ingest-query, {settings}}}"))

    def change() -> None:
        with sqlite3.connect(place) as database:
            database.execute("UPDATE fault SET remedy = 'Call us.'")

    change()
    require_from_snapshot(factory)


@pytest.mark.parametrize("line", ['{"text": 1', '{"labels": []}', "[]"])
def test_rows_that_nobody_kept_are_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "rows.jsonl").write_text(f'{{"text": "x", "labels": [], "metadata": {{}}}}\n{line}\n')
    settings = {"url": f"rows://{tmp_path}/rows.jsonl", "query": "SELECT 1 ORDER BY 1"}
    with pytest.raises(UserError, match="line 2 is no row that was kept"):
        run_step(INGEST_QUERY, tmp_path / "out", settings)


def saved_dataset(folder: Path) -> Path:
    for split, words in (("train", ["The pump leaks.", "The valve is stuck."]), ("test", ["The filter is behind it."])):
        (folder / split).mkdir(parents=True)
        table = pa.table({"text": words, "n": range(len(words))})
        place = str(folder / split / "data-00000.arrow")
        with pa.OSFile(place, "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
        (folder / split / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000.arrow"}]}))
        (folder / split / "dataset_info.json").write_text(json.dumps({"license": "cc0-1.0"}))
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    return folder


def published_dataset(folder: Path) -> Path:
    write_files(
        folder, {"öl [1]*.jsonl": '{"text": "Öl"}\n', "more/b.jsonl": '{"text": "b"}\n', "c.csv": "text\nnot named\n"}
    )
    card = {
        "license": ["mit", "cc0-1.0"],
        "configs": [{"config_name": "own", "data_files": ["*.jsonl", "more/*.jsonl"]}],
    }
    (folder / "README.md").write_text(f"---\n{json.dumps(card)}\n---\nA dataset.\n")
    return folder


def test_a_dataset_that_was_deleted(factory: Factory, tmp_path: Path) -> None:
    folder = saved_dataset(tmp_path / "dataset")
    factory.workspace.run(factory.recipe(f"a: {{step: ingest-dataset, path: {folder}}}"))
    shutil.rmtree(folder)
    require_from_snapshot(factory)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (saved_dataset, {"splits": ["train"], "licence": "Apache-2.0"}),
        (published_dataset, {"configuration": "own", "max_file_bytes": 20}),
    ],
)
def test_whatever_of_a_dataset_was_read(tmp_path: Path, make: Callable[[Path], Path], settings: dict[str, Any]) -> None:
    folder = make(tmp_path / "dataset")
    settings = {"path": str(folder), **settings}
    require_the_same_again(INGEST_DATASET, tmp_path, settings, lambda: shutil.rmtree(folder))


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_conversations_of_a_dataset(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "dataset"
    folder.mkdir()
    talks = [asked(f"Where is pump {number}?", "In the cellar.") for number in range(8)]
    if form == "jsonl":
        (folder / "train.jsonl").write_text("".join(json.dumps(talk) + "\n" for talk in talks))
    else:
        pq.write_table(pa.Table.from_pylist(talks), folder / "train.parquet")
    settings = {"path": str(folder), "content": "conversations"}
    require_the_same_again(INGEST_DATASET, tmp_path, settings, lambda: shutil.rmtree(folder))
