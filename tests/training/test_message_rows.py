"""Rows of conversations: the assistant's tokens count, once each, and the books say what became of all others."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loresmith.data.messages_dataset import read_records
from loresmith.errors import UserError
from loresmith.ledger.books import Books
from loresmith.models.conversation import ConversationRenderer
from loresmith.training.document_books import Shown
from loresmith.training.message_rows import (
    NOTHING_LEFT,
    SHOWN_ONLY,
    TOO_LONG,
    LongerThanWindow,
    MessageRowSettings,
    message_rows,
)
from loresmith.training.packed_rows import PackedRows
from tests.data.conversations import asked
from tests.models.foreign_templates import DROPS_SYSTEM
from tests.models.tiny_tokenizer import make_tokenizer
from tests.training.tiny_messages import talk, write_dataset

TOKENIZER = make_tokenizer()
RENDERER = ConversationRenderer(TOKENIZER)
LONG = asked("Where?", "There. " * 60)


def rows_of(
    folder: Path,
    records: list[Any],
    sequence_length: int = 192,
    packing: bool = True,
    longer: LongerThanWindow = "refuse",
) -> PackedRows:
    dataset = write_dataset(folder, records, validation_share=0).directory
    return message_rows(dataset, "train", RENDERER, MessageRowSettings(sequence_length, packing, longer))


def shown_once(rows: PackedRows) -> Shown:
    return Shown(np.ones(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64))


def lessons(rows: PackedRows) -> Counter[str]:
    """What is learnt, document by document: the text of targets that count."""
    found: Counter[str] = Counter()
    for number in range(len(rows)):
        row = rows.row(number, 0)
        documents = np.zeros(len(row.inputs), dtype=np.int64) if row.documents is None else row.documents
        for document in np.unique(documents):
            mine = documents == document
            found[TOKENIZER.decode(row.targets[mine & (row.weights > 0)])] += 1
    return found


def test_what_is_learnt_is_what_the_assistants_say_and_nothing_else(tmp_path: Path) -> None:
    records = [talk(number) for number in range(30)]
    said = Counter(
        "".join(f"{message['content']}<|im_end|>" for message in record["messages"] if message["role"] == "assistant")
        for record in records
    )
    for packing in (True, False):
        assert lessons(rows_of(tmp_path / str(packing), records, packing=packing)) == said


def test_a_target_is_what_follows_its_input_in_the_conversation(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [talk(1)], packing=False)
    row = rows.row(0, 0)
    ids = RENDERER.render(talk(1)["messages"]).ids
    assert row.inputs.tolist() == ids[:-1].tolist()
    assert row.targets.tolist() == ids[1:].tolist()


def test_packed_rows_are_the_unpacked_ones_side_by_side(tmp_path: Path) -> None:
    records = [talk(number) for number in range(30)]
    packed, unpacked = (rows_of(tmp_path / str(packing), records, packing=packing) for packing in (True, False))
    assert len(packed) < len(unpacked) == len(records)
    apart = Counter()
    for number in range(len(packed)):
        row = packed.row(number, 0)
        assert len(row.inputs) <= 192
        documents = np.zeros(len(row.inputs), dtype=np.int64) if row.documents is None else row.documents
        for document in np.unique(documents):
            mine = documents == document
            apart[tuple(row.inputs[mine]), tuple(row.targets[mine]), tuple(row.weights[mine])] += 1
    alone = (unpacked.row(number, 0) for number in range(len(unpacked)))
    assert apart == Counter((tuple(row.inputs), tuple(row.targets), tuple(row.weights)) for row in alone)


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("longer", ["truncate", "drop"])
def test_the_books_have_every_token_of_every_record(tmp_path: Path, packing: bool, longer: LongerThanWindow) -> None:
    records = [*(talk(number) for number in range(12)), LONG, asked("Where? " * 60, "There.")]
    rows = rows_of(tmp_path, records, packing=packing, longer=longer)
    books = rows.books(shown_once(rows))
    Books(accounts=books.accounts()).require_balance("the rows")
    lengths = {
        f"talks.jsonl#L{number}": len(RENDERER.render(record["messages"]).ids)
        for number, record in enumerate(records, start=1)
    }
    by_path: Counter[str] = Counter()
    for line in books.lines:
        by_path[line.path] += line.tokens
    assert by_path == lengths
    assert books.entered == sum(lengths.values())
    kept = sum(line.tokens for line in books.lines if line.disposition == "kept")
    assert kept == books.learnt == sum(int((rows.row(n, 0).weights > 0).sum()) for n in range(len(rows)))
    fates = {line.path: (line.disposition, line.reason) for line in books.lines if line.disposition != "kept"}
    assert fates["talks.jsonl#L1"] == ("masked", SHOWN_ONLY)
    what = ("truncated", TOO_LONG) if longer == "truncate" else ("dropped", TOO_LONG)
    assert what in {(line.disposition, line.reason) for line in books.lines if line.path == "talks.jsonl#L13"}
    # the answer of the last one lies beyond the window: cut off, nothing of it is left to learn
    assert fates["talks.jsonl#L14"] == ("dropped", NOTHING_LEFT if longer == "truncate" else TOO_LONG)


def test_a_record_that_just_fits_fits(tmp_path: Path) -> None:
    length = len(RENDERER.render(talk(0)["messages"]).ids)
    assert len(rows_of(tmp_path / "fits", [talk(0)], sequence_length=length - 1)) == 1
    with pytest.raises(UserError, match=f"talks.jsonl:1 \\(record 1\\): {length} tokens"):
        rows_of(tmp_path / "does not", [talk(0)], sequence_length=length - 2)


def test_records_longer_than_the_window_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        rows_of(tmp_path, [talk(0), LONG, talk(1), *[LONG] * 12])
    lines = refused.value.what.split("\n")
    assert lines[0] == "13 records are longer than the window of 193 tokens (sequence_length 192):"
    assert lines[1].startswith("talks.jsonl:2 (record 2): ")
    assert lines[-1] == "and 3 more"
    assert refused.value.hint is not None
    assert "longer_than_window: truncate" in refused.value.hint


def test_a_record_that_cannot_be_rendered_is_named(tmp_path: Path) -> None:
    records = [asked("a"), {"messages": [{"role": "system", "content": "Be kind."}, *asked("a")["messages"]]}]
    dataset = write_dataset(tmp_path, records, validation_share=0).directory
    renderer = ConversationRenderer(make_tokenizer(), DROPS_SYSTEM)
    with pytest.raises(UserError, match=r"talks.jsonl:2 \(record 2\): the chat template drops the system prompt"):
        message_rows(dataset, "train", renderer, MessageRowSettings(192))


def test_where_nothing_is_left_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no record of the train split is left"):
        rows_of(tmp_path, [LONG], longer="drop")


def test_only_the_split_that_was_asked_for_is_read(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, validation_share=0.3).directory
    for split in ("train", "validation"):
        rows = message_rows(dataset, split, RENDERER, MessageRowSettings(192, packing=False))
        assert len(rows) == len(list(read_records(dataset, split)))
