"""Files of conversations become a dataset, every line accounted for, and bad ones named before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.messages_dataset import count_records, read_records
from loresmith.data.messages_ingest import LISTED_AT_MOST
from loresmith.data.steps import INGEST_MESSAGES, IngestMessagesConfig
from loresmith.errors import Interrupted, UserError
from tests.data.conversations import asked, dataset_of, ingest_messages, jsonl
from tests.data.tables import files_of, rows, write_files
from tests.step_context import RecordingContext, run_step

MANY = [asked(f"Where is part {number}?", f"On shelf {number}.") for number in range(60)]


def fingerprint(path: Path, **config: Any) -> str:
    assert INGEST_MESSAGES.fingerprint is not None
    return INGEST_MESSAGES.fingerprint(IngestMessagesConfig(path=str(path), **config))


def test_every_line_is_a_row_in_order_with_its_place(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "in",
        {
            "b.jsonl": jsonl([asked("one"), "", asked("two", labels=["secret"], id=7)]),
            "a/talks.ndjson": "\ufeff" + jsonl([{"prompt": "three", "completion": "3"}]),
            "notes.txt": "left alone",
        },
    )
    result = ingest_messages(
        folder,
        tmp_path,
        validation_share=0,
        licence="CC0-1.0",
        labels=["internal"],
        label_rules={"a/**": ["restricted"]},
    )
    dataset = result.outputs["dataset"]
    found = rows(dataset.directory, "records.parquet")
    assert [(row["path"], row["line"]) for row in found] == [("a/talks.ndjson", 1), ("b.jsonl", 1), ("b.jsonl", 3)]
    assert [row["labels"] for row in found] == [["internal", "restricted"], ["internal"], ["internal", "secret"]]
    assert [row["metadata"] for row in found] == ["{}", "{}", '{"id":7}']
    assert {row["licence"] for row in found} == {"CC0-1.0"}
    assert dataset.labels == ("internal", "restricted", "secret")
    assert dataset.metadata["records"] == {"train": 3}
    accounts = {account.unit: account for account in result.books.accounts}
    assert accounts["records"].kept == 3
    assert [(entry.disposition, entry.reason) for entry in accounts["records"].left] == [
        ("dropped", "blank line"),
        ("kept", ""),
    ]
    assert accounts["bytes"].entered == sum(len((folder / name).read_bytes()) for name in ("b.jsonl", "a/talks.ndjson"))
    kept = list(read_records(dataset.directory))
    assert [record.messages[0]["content"] for record in kept] == ["three", "one", "two"]
    assert kept[2].where == "b.jsonl:3 (record 3)"


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"talks.jsonl": jsonl(MANY)})
    first, second = (ingest_messages(folder, tmp_path / name) for name in ("first", "second"))
    for role, made in first.outputs.items():
        assert files_of(made.directory) == files_of(second.outputs[role].directory)
        assert dict(made.metadata) == dict(second.outputs[role].metadata)


def test_equal_conversations_are_on_one_side_and_a_record_stays_on_its_side(tmp_path: Path) -> None:
    twice = [*MANY, *({"prompt": f"Where is part {n}?", "completion": f"On shelf {n}."} for n in range(60))]
    sides = [
        {record.messages[0]["content"]: record.split for record in read_records(dataset_of(records, tmp_path / name))}
        for name, records in (("once", MANY), ("more", [*MANY, *(asked(f"another {number}") for number in range(40))]))
    ]
    assert set(sides[0].values()) == {"train", "validation"}
    assert sides[0].items() <= sides[1].items()
    both = list(read_records(dataset_of(twice, tmp_path / "twice")))
    assert [record.split for record in both[:60]] == [record.split for record in both[60:]]
    assert len({record.id for record in both}) == 120


def test_a_split_that_would_be_empty_gets_a_record(tmp_path: Path) -> None:
    records = list(read_records(dataset_of([asked("one"), asked("two")], tmp_path, validation_share=0.01)))
    assert sorted(record.split for record in records) == ["train", "validation"]
    with pytest.raises(UserError, match="all 2 records are the same one"):
        dataset_of([asked("one"), asked("one")], tmp_path / "same")


def test_bad_records_are_refused_together_each_with_file_and_line(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "in",
        {
            "a.jsonl": jsonl([asked("one"), asked("two", " "), '{"messages": ']),
            "b.jsonl": jsonl([{"messages": [{"role": "robot", "content": "beep"}]}]),
            "c.jsonl": "",
        },
    )
    with pytest.raises(UserError) as refused:
        ingest_messages(folder, tmp_path)
    lines = refused.value.what.split("\n")
    assert lines[0] == "4 of 5 records cannot be learnt from:"
    assert lines[1].startswith("a.jsonl:2: empty completion: messages[1]")
    assert lines[2].startswith("a.jsonl:3: not JSON: ")
    assert lines[3].startswith("b.jsonl:1: unknown role: messages[0].role: unknown role; known: assistant")
    assert lines[4] == "c.jsonl: empty: there is nothing in it"
    assert refused.value.hint is not None
    assert "on_error: quarantine" in refused.value.hint


def test_a_long_list_of_bad_records_is_cut(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\nand 5 more\n") as refused:
        dataset_of([asked("a", "")] * (LISTED_AT_MOST + 5), tmp_path)
    assert refused.value.what.count("\n") == LISTED_AT_MOST + 1


def test_in_quarantine_bad_records_are_in_the_books(tmp_path: Path) -> None:
    records = [asked("one"), asked("two", ""), asked("three"), "[]", asked("four")]
    (tmp_path / "talks.jsonl").write_text(jsonl(records), encoding="utf-8")
    result = ingest_messages(tmp_path / "talks.jsonl", tmp_path, on_error="quarantine")
    directory = result.outputs["dataset"].directory
    assert [record.line for record in read_records(directory)] == [1, 3, 5]
    books = [(row["path"], row["disposition"], row["reason"]) for row in rows(directory, "books.parquet")]
    assert books == [
        ("talks.jsonl#L1", "kept", ""),
        ("talks.jsonl#L2", "quarantined", "empty completion"),
        ("talks.jsonl#L3", "kept", ""),
        ("talks.jsonl#L4", "quarantined", "not a JSON object"),
        ("talks.jsonl#L5", "kept", ""),
    ]
    assert {row["id"] for row in rows(directory, "records.parquet")} < {
        row["id"] for row in rows(directory, "books.parquet")
    }
    with pytest.raises(UserError, match="1 of 1 records cannot be learnt from"):
        dataset_of(["[]"], tmp_path / "nothing", on_error="quarantine")


lines = st.lists(
    st.one_of(
        st.sampled_from(["", " ", "{}", "[", '{"messages": []}', '{"prompt": "a", "completion": "b", "x": 1}']),
        st.builds(asked, st.sampled_from("abcdef")),
        st.builds(asked, st.sampled_from("abc"), st.just("")),
    ),
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(lines)
def test_the_books_balance_whatever_comes(tmp_path_factory: pytest.TempPathFactory, drawn: list[Any]) -> None:
    folder = write_files(tmp_path_factory.mktemp("in"), {"a.jsonl": jsonl([*drawn, asked("x"), asked("y")])})
    result = ingest_messages(folder, folder, on_error="quarantine")  # run_step requires balance
    accounts = {account.unit: account for account in result.books.accounts}
    directory = result.outputs["dataset"].directory
    assert accounts["records"].entered == len(drawn) + 2 == len(rows(directory, "books.parquet"))
    assert accounts["records"].kept == count_records(directory)
    assert sum(entry.count for entry in accounts["bytes"].left) == (folder / "a.jsonl").stat().st_size


def test_the_fingerprint_is_of_what_is_read(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"talks.jsonl": jsonl(MANY[:3]), "notes.txt": "a"})
    before = fingerprint(folder)
    (folder / "notes.txt").write_text("b")
    assert fingerprint(folder) == before
    assert fingerprint(folder / "talks.jsonl") == before
    (folder / "talks.jsonl").write_text(jsonl(MANY[:4]))
    assert fingerprint(folder) != before


def test_a_file_that_is_named_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "talks.json").write_text(jsonl(MANY[:3]))
    result = ingest_messages(tmp_path / "talks.json", tmp_path)
    assert result.outputs["dataset"].metadata["records"] == {"train": 2, "validation": 1}
    with pytest.raises(UserError, match="no file in"):
        ingest_messages(tmp_path, tmp_path / "again", exclude=["ingest-messages/**"])


@pytest.mark.parametrize(
    ("names", "include"),
    [
        (["talks.json"], ("*.jsonl",)),
        (["talks.json", "other.json"], ("*.jsonl",)),
        (["talks.json", "more", "odd"], ("*.jsonl", "*.json")),
    ],
)
def test_what_was_read_can_be_laid_out_again(tmp_path: Path, names: list[str], include: tuple[str, ...]) -> None:
    files = {"talks.json": MANY[:3], "other.json": MANY[3:4], "more/a.jsonl": MANY[3:5], "odd/ü.jsonl": MANY[5:]}
    write_files(tmp_path, {"more/b.txt": "x", **{name: jsonl(records) for name, records in files.items()}})
    config = IngestMessagesConfig(path=tuple(str(tmp_path / name) for name in names), include=include)
    result = run_step(INGEST_MESSAGES, tmp_path / "out", config.model_dump())
    assert INGEST_MESSAGES.restore_sources is not None
    assert INGEST_MESSAGES.fingerprint is not None
    (tmp_path / "restored").mkdir()
    outputs = {role: made.directory for role, made in result.outputs.items()}
    again = INGEST_MESSAGES.restore_sources(config, outputs, tmp_path / "restored")
    assert INGEST_MESSAGES.fingerprint(again) == INGEST_MESSAGES.fingerprint(config)
    second = run_step(INGEST_MESSAGES, tmp_path / "again", again.model_dump())
    for role, made in result.outputs.items():
        assert files_of(made.directory) == files_of(second.outputs[role].directory)


def test_a_request_to_stop_is_heard(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"talks.jsonl": jsonl(MANY)})
    with pytest.raises(Interrupted):
        run_step(
            INGEST_MESSAGES, tmp_path, {"path": str(folder)}, context=RecordingContext(tmp_path / "out", stop_after=0)
        )


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="this is no dataset of conversations"):
        list(read_records(tmp_path))


def test_records_can_be_read_from_any_one_on(tmp_path: Path) -> None:
    directory = dataset_of(MANY, tmp_path)
    whole = list(read_records(directory))
    assert [record.number for record in whole] == list(range(1, 61))
    for first in (2, 50, 60):
        assert list(read_records(directory, first=first)) == whole[first - 1 :]
    held_out = [record for record in whole if record.split == "validation"]
    assert list(read_records(directory, "validation")) == held_out


RIGHTS = {
    ".rights.yaml": "owner: service\nretain_until: 2999-12-31\n",
    "hr/.rights.yaml": "licence: internal\nlabels: [restricted]\nuses: [retrieve]\n",
    "old.jsonl.rights.yaml": "retain_until: 2020-01-31\nuses: [train, retrieve]\n",
    "gone.jsonl.rights.yaml": "uses: [retrieve]\n",
}


def test_conversations_have_the_rights_of_the_recipe_and_of_sidecars(tmp_path: Path) -> None:
    talks = {name: jsonl(MANY[2 * n : 2 * n + 2]) for n, name in enumerate(["a.jsonl", "hr/b.jsonl", "old.jsonl"])}
    folder = write_files(tmp_path / "in", {**talks, **RIGHTS})
    context = RecordingContext(tmp_path / "out")
    settings = {"path": str(folder), "validation_share": 0, "licence": "CC0-1.0", "uses": ["train", "evaluate"]}
    result = run_step(INGEST_MESSAGES, tmp_path / "out", settings, context=context)
    dataset = result.outputs["dataset"]
    columns = ("licence", "owner", "labels", "uses", "retain_until")
    said = {row["path"]: tuple(row[column] for column in columns) for row in rows(dataset.directory, "records.parquet")}
    assert said == {
        "a.jsonl": ("CC0-1.0", "service", [], ["evaluate", "train"], "2999-12-31"),
        "hr/b.jsonl": ("internal", "service", ["restricted"], [], "2999-12-31"),
        "old.jsonl": ("CC0-1.0", "service", [], ["train"], "2020-01-31"),
    }
    assert dataset.labels == ("restricted",)
    assert dataset.metadata["first_retain_until"] == "2020-01-31"
    assert {use: amount["documents"] for use, amount in dataset.metadata["rights"]["uses"].items()} == {
        "train": 4,
        "evaluate": 2,
    }
    assert any("gone.jsonl, which is not among the files" in line for line in context.logs)
    books = {row["path"]: (row["disposition"], row["reason"]) for row in rows(dataset.directory, "books.parquet")}
    assert {path for path, fate in books.items() if fate == ("dropped", "rights sidecar")} == set(RIGHTS)
    before = fingerprint(folder, uses=["train"])
    (folder / "hr/.rights.yaml").write_text("uses: [train]\n")
    assert fingerprint(folder, uses=["train"]) != before


def test_rights_are_laid_out_again_with_the_conversations(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a.jsonl": jsonl(MANY[:5]), ".rights.yaml": RIGHTS[".rights.yaml"]})
    config = IngestMessagesConfig(path=str(folder))
    result = run_step(INGEST_MESSAGES, tmp_path / "out", config.model_dump())
    (tmp_path / "restored").mkdir()
    assert INGEST_MESSAGES.restore_sources is not None
    outputs = {role: made.directory for role, made in result.outputs.items()}
    again = INGEST_MESSAGES.restore_sources(config, outputs, tmp_path / "restored")
    second = run_step(INGEST_MESSAGES, tmp_path / "again", again.model_dump())
    for role, made in result.outputs.items():
        assert files_of(made.directory) == files_of(second.outputs[role].directory)


def test_a_sidecar_that_is_wrong_stops_the_reading_of_conversations(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a.jsonl": jsonl(MANY[:5]), "a.jsonl.rights.yaml": "use: [train]\n"})
    with pytest.raises(UserError, match="unknown key 'use'"):
        ingest_messages(folder, tmp_path)


def test_equal_conversations_may_be_used_as_all_of_them_allow(tmp_path: Path) -> None:
    files = {
        "a.jsonl": jsonl([*MANY[:2], asked("own", labels=["own"])]),
        "b.jsonl": jsonl([{"prompt": "Where is part 0?", "completion": "On shelf 0."}]),
        "b.jsonl.rights.yaml": "uses: [retrieve]\nlabels: [restricted]\nretain_until: 2999-01-01\n",
        "c.jsonl": jsonl(MANY[:1]),
    }
    made = ingest_messages(write_files(tmp_path / "in", files), tmp_path).outputs["dataset"].directory
    found = [
        (row["path"], row["line"], row["labels"], row["uses"], row["retain_until"])
        for row in rows(made, "records.parquet")
    ]
    every = ["evaluate", "retrieve", "train"]
    assert found == [
        ("a.jsonl", 1, ["restricted"], ["retrieve"], "2999-01-01"),
        ("a.jsonl", 2, [], every, ""),
        ("a.jsonl", 3, ["own"], every, ""),
        ("b.jsonl", 1, ["restricted"], ["retrieve"], "2999-01-01"),
        ("c.jsonl", 1, ["restricted"], ["retrieve"], "2999-01-01"),
    ]
