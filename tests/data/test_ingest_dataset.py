"""Folders of datasets become documents or conversations; what does not make sense in them is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from loresmith.data.saved_datasets import find_dataset
from loresmith.data.steps import INGEST_DATASET, INGEST_MESSAGES
from loresmith.errors import UserError
from loresmith.factory.step import Result
from tests.data.conversations import asked
from tests.data.tables import rows
from tests.step_context import run_step

TEXTS = ["The pump leaks.", "The valve is stuck.", "The filter is behind the panel."]


def arrow(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def saved(folder: Path, texts: list[str] = TEXTS, licence: str = "cc0-1.0", split: str | None = None) -> Path:
    """What `Dataset.save_to_disk` writes, in two files."""
    table = pa.table({"text": texts, "n": range(len(texts))})
    for number, part in enumerate((table.slice(0, 2), table.slice(2))):
        arrow(folder / f"data-{number:05d}-of-00002.arrow", part)
    files = [{"filename": f"data-{number:05d}-of-00002.arrow"} for number in (0, 1)]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_fingerprint": "f", "_split": split}))
    (folder / "dataset_info.json").write_text(json.dumps({"license": licence, "features": {}}))
    return folder


def ingest(folder: Path, output: Path, **config: Any) -> Result:
    return run_step(INGEST_DATASET, output, {"path": str(folder), **config})


def texts_of(result: Result) -> list[str]:
    return [row["text"] for row in rows(result.outputs["documents"].directory)]


def test_a_saved_dataset_becomes_documents(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved")
    (folder / "cache-123.arrow").write_bytes(b"of a map that was not kept")
    result = ingest(folder, tmp_path / "out")
    found = rows(result.outputs["documents"].directory)
    assert [row["text"] for row in found] == TEXTS
    assert {row["licence"] for row in found} == {"cc0-1.0"}
    assert [row["path"] for row in found[:2]] == [f"data-00000-of-00002.arrow#row-{n}" for n in (1, 2)]
    assert found[2]["metadata"] == '{"n":2}'
    assert result.books.accounts[0].kept == 3


def test_a_recipe_says_more_than_the_dataset(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved")
    config = {"licence": "proprietary", "labels": ["restricted"], "template": "Nr. {{ n }}: {{ text }}"}
    result = ingest(folder, tmp_path / "out", **config)
    found = rows(result.outputs["documents"].directory)
    assert [row["text"] for row in found] == [f"Nr. {n}: {text}" for n, text in enumerate(TEXTS)]
    assert {row["licence"] for row in found} == {"proprietary"}
    assert result.outputs["documents"].labels == ("restricted",)


def test_splits_of_a_saved_dictionary_are_chosen(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    saved(folder / "train")
    saved(folder / "test", ["Held out."], split="test")
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    found = find_dataset(folder)
    assert (len(found.files), found.splits, found.licence) == (4, ("test", "train"), "cc0-1.0")
    assert texts_of(ingest(folder, tmp_path / "one", splits=["train"])) == TEXTS
    with pytest.raises(UserError, match="unknown split 'tran'; did you mean 'train'"):
        ingest(folder, tmp_path / "none", splits=["tran"])


CARD = """---
license: apache-2.0
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
  - split: test
    path: ["data/held-*.parquet"]
- config_name: extra
  data_files: extra.jsonl
---
# A dataset
"""


def published(folder: Path, card: str = CARD) -> Path:
    (folder / "data").mkdir(parents=True)
    for name, text in (("train-0", TEXTS[0]), ("train-1", TEXTS[1]), ("held-out[1]", TEXTS[2]), ("other", "Other.")):
        pq.write_table(pa.table({"text": [text]}), folder / "data" / f"{name}.parquet")
    (folder / "extra.jsonl").write_text('{"text": "Extra."}\n')
    if card:
        (folder / "README.md").write_text(card)
    return folder


def test_a_card_says_which_files_there_are(tmp_path: Path) -> None:
    folder = published(tmp_path / "hub")
    result = ingest(folder, tmp_path / "out")
    assert sorted(texts_of(result)) == sorted(TEXTS)
    assert {row["licence"] for row in rows(result.outputs["documents"].directory)} == {"apache-2.0"}
    assert find_dataset(folder).files["data/held-out[1].parquet"] == "test"
    assert find_dataset(folder, "extra").files == {"extra.jsonl": "train"}
    with pytest.raises(UserError, match="unknown configuration 'extr'; did you mean 'extra'"):
        ingest(folder, tmp_path / "none", configuration="extr")


def test_without_a_card_names_say_the_split(tmp_path: Path) -> None:
    folder = published(tmp_path / "hub", card="")
    (folder / "valid").mkdir()
    (folder / "valid" / "x.csv").write_text("text\nHere.\n")
    assert find_dataset(folder).files == {
        "data/held-out[1].parquet": "train",
        "data/other.parquet": "train",
        "data/train-0.parquet": "train",
        "data/train-1.parquet": "train",
        "extra.jsonl": "train",
        "valid/x.csv": "validation",
    }
    assert find_dataset(folder).patterns(["validation"], "") == ["/valid/x.csv"]


TALKS = [
    asked("Who?", "Ada."),
    {"messages": [{"role": "system", "content": "Be brief."}, *asked("Where?", "Here.")["messages"]]},
]


def with_call(question: str, **arguments: Any) -> dict[str, Any]:
    call = {"type": "function", "function": {"name": "look_up", "arguments": arguments}}
    answer = [{"role": "tool", "content": "none"}, {"role": "assistant", "content": "No."}]
    asks = {"role": "assistant", "content": "", "tool_calls": [call]}
    return {"messages": [{"role": "user", "content": question}, asks, *answer]}


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_conversations_are_those_of_the_same_lines(tmp_path: Path, form: str) -> None:
    lines, folder = tmp_path / "talks.jsonl", tmp_path / "hub"
    talks = [*TALKS, with_call("Which part?", part="pump"), with_call("When?", day=3)]
    lines.write_text("".join(json.dumps(talk) + "\n" for talk in talks))
    folder.mkdir()
    table = pa.Table.from_pylist([{**talk, "tools": None} for talk in talks])
    # Arrow gives every message the keys of all, and every call the arguments of all.
    assert table["messages"][3].as_py()[1]["tool_calls"][0]["function"]["arguments"] == {"day": 3, "part": None}
    if form == "arrow":
        arrow(folder / "train.arrow", table)
    else:
        pq.write_table(table, folder / "train.parquet")
    config = {"validation_share": 0}
    expected = run_step(INGEST_MESSAGES, tmp_path / "lines", {"path": str(lines), **config}).outputs["dataset"]
    made = ingest(folder, tmp_path / "out", content="conversations", **config)
    assert set(made.outputs) == {"source", "dataset"}
    kept = ("messages", "tools", "group", "split", "line")
    assert [[row[key] for key in kept] for row in rows(made.outputs["dataset"].directory, "records.parquet")] == [
        [row[key] for key in kept] for row in rows(expected.directory, "records.parquet")
    ]


def test_a_bad_conversation_is_named_with_its_row(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist([{**TALKS[0], "score": 1.0}]), folder / "train.parquet")
    with pytest.raises(UserError, match=r"train\.parquet:1: unknown key: .* key 2 of the record"):
        ingest(folder, tmp_path / "out", content="conversations")
    result = ingest(folder, tmp_path / "kept", content="conversations", metadata_fields=["score"], validation_share=0)
    [row] = rows(result.outputs["dataset"].directory, "records.parquet")
    assert row["metadata"] == '{"score":1.0}'


def test_a_damaged_table_of_conversations_balances(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    arrow(folder / "train-0.arrow", pa.Table.from_pylist(TALKS))
    arrow(folder / "train-1.arrow", pa.Table.from_pylist(TALKS[:1] * 5000))
    data = (folder / "train-1.arrow").read_bytes()
    (folder / "train-1.arrow").write_bytes(data[: len(data) // 2])
    pq.write_table(pa.Table.from_pylist(TALKS).slice(0, 0), folder / "train-2.parquet")
    result = ingest(folder, tmp_path / "out", content="conversations", on_error="quarantine", validation_share=0)
    left = {(entry.disposition, entry.reason): entry.count for entry in result.books.accounts[0].left}
    assert left["kept", ""] == 2
    assert left["quarantined", "damaged"] == left["quarantined", "empty"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "state.json").write_text("{"), "this is not JSON"),
        (lambda f: (f / "state.json").write_text("[]"), "not an object of JSON"),
        (lambda f: (f / "state.json").write_bytes(b'{"x": "\xff"}'), "not UTF-8"),
        (lambda f: (f / "state.json").write_text("[" * 100_000), "this is not JSON"),
        (lambda f: (f / "state.json").write_text('{"_data_files": 3}'), "_data_files is no list of names"),
        (
            lambda f: (f / "state.json").write_text('{"_data_files": [{"filename": "../../etc/passwd"}]}'),
            "which is no name of a file in this folder",
        ),
        (lambda f: (f / "data-00001-of-00002.arrow").unlink(), "data-00001-of-00002.arrow is missing"),
        (lambda f: (f / "dataset_dict.json").write_text('{"splits": [".."]}'), "which is no name of a file"),
        (lambda f: (f / "dataset_info.json").write_text("no"), "this is not JSON"),
        (
            lambda f: [path.rename(path.with_suffix(".bin")) for path in f.iterdir()],
            "there is no file of a dataset here",
        ),
    ],
)
def test_what_does_not_make_sense_is_refused(tmp_path: Path, change: Callable[[Path], object], said: str) -> None:
    folder = saved(tmp_path / "saved")
    change(folder)
    with pytest.raises(UserError) as refused:
        ingest(folder, tmp_path / "out")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("---\nconfigs: [\n---\n", "README.md"),
        ("---\nlicense: !!python/object/apply:os.system ['true']\n---\n", "README.md"),
        ("---\nconfigs: [{data_files: nowhere.parquet}]\n---\n", "the split 'train' has no file: /nowhere.parquet"),
        ("---\nconfigs: [{data_files: [{split: train, path: 3}]}]\n---\n", "neither a pattern nor a list"),
        ("---\nconfigs: [{config_name: a, data_files: x}, {config_name: b, data_files: y}]\n---\n", "2 configurations"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(tmp_path: Path, card: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        ingest(published(tmp_path / "hub", card), tmp_path / "out")
    assert said in str(refused.value)


def test_a_plan_notices_what_changes_and_nothing_else(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved")
    config = INGEST_DATASET.config.model_validate({"path": str(folder)})
    fingerprint = INGEST_DATASET.fingerprint
    assert fingerprint is not None
    first = fingerprint(config)
    (folder / "cache-1.arrow").write_bytes(b"x")
    assert fingerprint(config) == first
    (folder / "dataset_info.json").write_text('{"license": "mit"}')
    second = fingerprint(config)
    assert second != first
    arrow(folder / "data-00000-of-00002.arrow", pa.table({"text": ["new"], "n": [1]}))
    assert fingerprint(config) not in (first, second)


def test_what_the_library_itself_saves_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    train = datasets.Dataset.from_dict({"text": TEXTS, "vector": [[1.0, 2.0]] * 3})
    talks = datasets.Dataset.from_list(TALKS)
    datasets.DatasetDict({"train": train, "test": train.select([1])}).save_to_disk(str(tmp_path / "saved"))
    talks.save_to_disk(str(tmp_path / "talks"))
    assert sorted(texts_of(ingest(tmp_path / "saved", tmp_path / "out"))) == sorted([*TEXTS, TEXTS[1]])
    made = ingest(tmp_path / "talks", tmp_path / "t", content="conversations", validation_share=0)
    found = rows(made.outputs["dataset"].directory, "records.parquet")
    assert [json.loads(row["messages"])[-1]["content"] for row in found] == ["Ada.", "Here."]
