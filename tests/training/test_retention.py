"""No training learns from tokens or conversations that should be gone, or that may not be used to train."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pyarrow.parquet
import pytest

from loresmith.data.pack import TOKEN_COLUMNS
from loresmith.data.retention import overdue, require_tokens_in_time
from loresmith.data.steps import PACK
from loresmith.errors import UserError
from loresmith.factory.step import InputAsset, Step
from loresmith.training.steps import DISTIL, PRETRAIN, SFT
from tests.data.conversations import asked, ingest_messages, jsonl
from tests.data.tables import write_files
from tests.data.written_corpora import corpus_of, document
from tests.models.tiny_tokenizer import make_tokenizer
from tests.step_context import RecordingContext, as_input, run_step
from tests.training.tiny_messages import TINY_SFT, write_chat_base
from tests.training.tiny_tokens import TINY, write_base, write_tokens

PAST, SOON, LATER = "2020-01-31", "2999-01-01", "2999-06-01"
SETTINGS = {**TINY, "budget_tokens": 64}


def packed(folder: Path, days: Mapping[str, str]) -> InputAsset:
    """Tokens of documents that may be kept until some days, packed today."""
    make_tokenizer().save_pretrained(folder / "tokenizer")
    texts = {path: f"def f(x):\n    return x + {number}\n" * 6 for number, path in enumerate(days)}
    corpus = corpus_of(
        [document(path, text, retain_until=days[path]) for path, text in texts.items()], folder / "corpus"
    )
    inputs = {
        "corpus": InputAsset("1" * 64, "corpus", corpus, {}, ()),
        "tokenizer": InputAsset("2" * 64, "tokenizer", folder / "tokenizer", {}, ()),
    }
    return as_input("tokens", run_step(PACK, folder, {}, inputs).outputs["tokens"])


def as_of_later(tokens: InputAsset) -> InputAsset:
    """The same when years have passed: each last day is over."""
    for file in tokens.directory.glob("*.documents.parquet"):
        held = pyarrow.parquet.read_table(file).to_pylist()
        passed = [{**row, "retain_until": row["retain_until"] and PAST} for row in held]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(passed, TOKEN_COLUMNS), file)
    return tokens


def test_tokens_know_until_when_each_of_their_documents_may_be_kept(tmp_path: Path) -> None:
    days = {"a.py": "", "b.py": LATER, "c.py": SOON}
    tokens = packed(tmp_path, days)
    assert tokens.metadata["first_retain_until"] == SOON
    table = pyarrow.parquet.read_table(tokens.directory / "train.documents.parquet").to_pylist()
    assert {row["path"]: row["retain_until"] for row in table} == days
    require_tokens_in_time(tokens.directory, date(2999, 1, 1))
    late = overdue(tokens.directory, date(2999, 1, 2))
    assert late is not None
    assert (late.documents, late.first, late.paths) == (1, SOON, ("c.py",))
    assert late.hint.startswith("pack a corpus again that was curated with `as_of: 2999-01-02`")
    assert "first_retain_until" not in packed(tmp_path / "undated", {"a.py": ""}).metadata


@pytest.mark.parametrize(("step", "role"), [(PRETRAIN, "tokens"), (PRETRAIN, "replay"), (DISTIL, "tokens")])
def test_no_training_begins_on_tokens_of_what_should_be_gone(tmp_path: Path, step: Step, role: str) -> None:
    fresh = write_tokens(tmp_path / "fresh")
    model = write_base(tmp_path / "model", fresh)
    inputs = {"tokens": fresh, "base": model} | ({"teacher": model} if step is DISTIL else {})
    inputs[role] = as_of_later(packed(tmp_path / "old", {"a.py": "", "b.py": SOON}))
    settings = {key: value for key, value in SETTINGS.items() if key != "architecture"}
    if role == "replay":
        settings["replay_share"] = 0.5
    context = RecordingContext(tmp_path / "out")
    with pytest.raises(UserError, match=r"one document has been kept too long, its last day was 2020-01-31: b\.py"):
        run_step(step, tmp_path / "out", settings, inputs, context)
    assert context.metrics == []
    assert not context.work.exists() or not any(context.work.iterdir())


def test_tokens_that_say_nothing_of_it_are_refused(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path)
    for file in tokens.directory.glob("*.documents.parquet"):
        table = pyarrow.parquet.read_table(file)
        pyarrow.parquet.write_table(table.drop_columns(["retain_until"]), file)
    with pytest.raises(UserError, match="do not say until when their documents may be kept") as told:
        run_step(PRETRAIN, tmp_path / "out", SETTINGS, {"tokens": tokens})
    assert told.value.hint == "pack the corpus again"


def talks(folder: Path, sidecar: str = "") -> InputAsset:
    """Conversations in a file, and in another one if that has a sidecar."""
    records = [asked(f"Where is part {number}?", f"On shelf {number % 7}.") for number in range(30)]
    files = {"a.jsonl": jsonl(records[:20])}
    if sidecar:
        files |= {"b.jsonl": jsonl(records[20:]), "b.jsonl.rights.yaml": sidecar}
    made = ingest_messages(write_files(folder / "in", files), folder, validation_share=0.2)
    return as_input("dataset", made.outputs["dataset"])


def test_conversations_that_should_be_gone_are_not_learnt(tmp_path: Path) -> None:
    base = write_chat_base(tmp_path / "base")
    context = RecordingContext(tmp_path / "out")
    with pytest.raises(UserError, match=r"10 records have been kept too long.* 2020-01-31: b\.jsonl#L1") as told:
        run_step(SFT, tmp_path, TINY_SFT, {"base": base, "dataset": talks(tmp_path, f"retain_until: {PAST}")}, context)
    assert str(told.value.hint).startswith("read the conversations again without these files (`exclude`)")
    assert context.metrics == []


def test_conversations_that_may_not_be_used_to_train_are_as_if_they_were_not_there(tmp_path: Path) -> None:
    base = write_chat_base(tmp_path / "base")
    datasets = {
        "without": talks(tmp_path / "without"),
        "refused": talks(tmp_path / "refused", f"uses: [retrieve]\nretain_until: {SOON}"),
    }
    sides = pyarrow.parquet.read_table(datasets["refused"].directory / "records.parquet").to_pylist()
    assert {row["split"] for row in sides if row["path"] == "b.jsonl"} == {"train", "validation"}
    models, metrics, books = [], [], {}
    for name, dataset in datasets.items():
        context = RecordingContext(tmp_path / name)
        result = run_step(SFT, tmp_path / name, TINY_SFT, {"base": base, "dataset": dataset}, context)
        models.append((result.outputs["model"].directory / "model.safetensors").read_bytes())
        metrics.append([metric for metric in context.metrics if metric[0] in ("loss", "held_out_bits_per_byte")])
        books[name] = pyarrow.parquet.read_table(result.outputs["books"].directory / "documents.parquet").to_pylist()
    assert models[0] == models[1]
    assert metrics[0] == metrics[1]
    more = [row for row in books["refused"] if row not in books["without"]]
    assert {(row["path"].split("#")[0], row["disposition"], row["reason"]) for row in more} == {
        ("b.jsonl", "dropped", "not allowed: train")
    }
    refused = [row for row in sides if row["path"] == "b.jsonl" and row["split"] == "train"]
    assert {row["path"] for row in more} == {f"b.jsonl#L{row['line']}" for row in refused}
