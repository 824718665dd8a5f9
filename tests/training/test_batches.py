from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from loresmith.data.shards import TokenShards
from loresmith.errors import UserError
from loresmith.factory.step import InputAsset
from loresmith.training.batches import RowBatches
from loresmith.training.objective import Batch
from loresmith.training.packed_rows import document_rows
from loresmith.training.ranks import Ranks
from loresmith.training.rows import RowSource
from loresmith.training.stream_rows import StreamRows
from loresmith.training.token_settings import TokenSettings

T = 16


def stream_rows(tokens: InputAsset, sequence_length: int = T, name: str = "tokens") -> StreamRows:
    return StreamRows(TokenShards.open(tokens.directory).split("train"), sequence_length, name)


def packed_rows(tokens: InputAsset) -> RowSource:
    return document_rows(TokenShards.open(tokens.directory), "train", T)


SOURCES = {"joined": stream_rows, "isolated": packed_rows}


def batches_of(tokens: InputAsset, seed: int = 0, source: RowSource | None = None, **settings: object) -> RowBatches:
    return RowBatches(source or stream_rows(tokens), T, 64, 32, seed, **settings)


def whole(batch: Batch, name: str = "inputs") -> torch.Tensor:
    return torch.cat([getattr(part, name) for part in batch.micro_batches])


@pytest.mark.parametrize("kind", SOURCES)
def test_an_epoch_has_every_token_once_as_a_target(tokens: InputAsset, kind: str) -> None:
    source = SOURCES[kind](tokens)
    stream = TokenShards.open(tokens.directory).split("train")
    seen = Counter(int(t) for number in range(len(source)) for t in source.row(number, 0).targets)
    first, last = (1, 1 + len(source) * T) if kind == "joined" else (0, len(stream))
    assert seen == Counter(stream.read(first, last - first).tolist())


@pytest.mark.parametrize("kind", SOURCES)
def test_each_row_comes_once_an_epoch(tokens: InputAsset, kind: str) -> None:
    source = SOURCES[kind](tokens)
    batches = batches_of(tokens, source=source)
    order = [batches._row(number)[1].targets.tobytes() for number in range(2 * len(source))]
    rows = Counter(source.row(number, 0).targets.tobytes() for number in range(len(source)))
    assert Counter(order[: len(source)]) == Counter(order[len(source) :]) == rows
    assert order[: len(source)] != order[len(source) :]


def test_rows_come_as_they_lie_where_that_is_asked_for(tokens: InputAsset) -> None:
    source = stream_rows(tokens)
    batches = batches_of(
        tokens, source=source, replay=stream_rows(tokens, name="replay"), replay_share=0.5, as_given=True
    )
    rows = [batches._row(number) for number in range(4 * len(source))]
    own = [row.targets.tolist() for origin, row in rows if origin.name == "tokens"]
    assert own == [source.row(number, 0).targets.tolist() for number in range(len(source))] * 2
    replayed = [row.targets.tolist() for origin, row in rows if origin.name == "replay"]
    assert sorted(replayed) == sorted(own)
    assert replayed != own
    shown = batches.shown(steps=3)
    seen = [index for index, times in enumerate(shown[0].learnt.tolist()) for _ in range(times)]
    assert seen == list(range(len(seen)))


def test_rows_of_isolated_documents_have_no_order_of_documents() -> None:
    with pytest.raises(ValidationError, match="as_packed needs whole streams"):
        TokenSettings(order="as_packed", isolate_documents=True)


def test_inputs_and_targets_are_one_sequence(tokens: InputAsset) -> None:
    batch = batches_of(tokens).batch(3)
    assert whole(batch).shape == whole(batch, "targets").shape == (4, T)
    assert torch.equal(whole(batch)[:, 1:], whole(batch, "targets")[:, :-1])


def test_a_document_of_a_packed_row_is_predicted_from_itself_alone(tokens: InputAsset) -> None:
    shards = TokenShards.open(tokens.directory)
    source = packed_rows(tokens)
    stream = shards.split("train").read(0, len(shards.split("train"))).tolist()
    text = " ".join(map(str, [shards.end_of_document, *stream]))
    assert any(source.row(number, 0).documents is not None for number in range(len(source)))
    for number in range(len(source)):
        row = source.row(number, 0)
        documents = row.documents if row.documents is not None else np.zeros(len(row.inputs), dtype=int)
        for document in np.unique(documents):
            inputs, targets = row.inputs[documents == document], row.targets[documents == document]
            assert inputs[1:].tolist() == targets[:-1].tolist()
            assert " ".join(map(str, [inputs[0], *targets.tolist()])) in text


def test_any_step_is_the_same_whenever_it_is_asked_for(tokens: InputAsset) -> None:
    forwards, backwards = batches_of(tokens), batches_of(tokens)
    first = [whole(forwards.batch(step)) for step in range(40)]  # more than an epoch
    for step in reversed(range(40)):
        assert torch.equal(whole(backwards.batch(step)), first[step])


def test_the_seed_decides_the_order(tokens: InputAsset) -> None:
    assert not torch.equal(whole(batches_of(tokens, seed=1).batch(0)), whole(batches_of(tokens, seed=2).batch(0)))


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_share_a_batch_and_have_as_many_micro_batches(tokens: InputAsset, world: int) -> None:
    for step in (0, 7):
        alone = batches_of(tokens).batch(step)
        parts = [batches_of(tokens, ranks=Ranks(rank, world)).batch(step) for rank in range(world)]
        assert len({len(part.micro_batches) for part in parts}) == 1
        rows = [
            row
            for part in parts
            for m in part.micro_batches
            for row, w in zip(m.inputs, m.weights, strict=True)
            if w.any()
        ]
        assert torch.equal(torch.stack(rows), whole(alone))
        assert sum((Counter(part.learnt) for part in parts), Counter()) == alone.learnt
        assert {part.tokens for part in parts} == {64}


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_replay_has_its_share_evenly_and_the_other_source_keeps_its_order(tokens: InputAsset, share: float) -> None:
    replay = stream_rows(tokens, name="replay")
    mixed = batches_of(tokens, replay=replay, replay_share=share)
    origins = [mixed._row(number)[0].name for number in range(400)]
    assert origins.count("replay") == round(400 * share)
    for end in range(400):
        assert abs(origins[:end].count("replay") - end * share) <= 1
    plain = batches_of(tokens)
    own = [row.inputs for source, row in map(mixed._row, range(100)) if source is mixed.source]
    assert all(np.array_equal(row, plain._row(number)[1].inputs) for number, row in enumerate(own))


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("steps", [0, 1, 17, 300])
@pytest.mark.parametrize("skipped", [(), (0, 9)])
def test_the_books_are_what_the_batches_show(
    tokens: InputAsset, kind: str, steps: int, skipped: tuple[int, ...]
) -> None:
    if steps < 10 and skipped:
        skipped = ()
    batches = batches_of(
        tokens, source=SOURCES[kind](tokens), replay=stream_rows(tokens, name="replay"), replay_share=0.2
    )
    counted = sum((Counter(batches.batch(s).learnt) for s in range(steps) if s not in skipped), Counter())
    stream = TokenShards.open(tokens.directory).split("train")
    for source, shown in zip(batches.sources, batches.shown(steps, skipped), strict=True):
        books = source.books(shown)
        once, lessons = books.accounts()
        assert once.missing == lessons.missing == 0
        assert once.entered == len(stream)
        assert lessons.entered == counted[source.name]
        sizes = dict(zip(stream.documents()["id"].to_pylist(), stream.documents()["tokens"].to_pylist(), strict=True))
        by_document = Counter[str]()
        for line in books.lines:
            by_document[line.document] += line.tokens
        assert by_document == sizes, "each document's lines add up to the document"


def test_a_document_was_learnt_from_as_often_as_its_line_says(tokens: InputAsset) -> None:
    source = stream_rows(tokens)
    batches = batches_of(tokens, source=source)
    stream = TokenShards.open(tokens.directory).split("train")
    times = np.zeros(len(stream), dtype=int)
    for number in range(40 * batches.rows):
        _, place = batches._orders[0].locate(number)
        row = batches._orders[0].at(number // len(source), place)
        times[row * T + 1 : (row + 1) * T + 1] += 1
    lines = source.books(batches.shown(40)[0]).lines
    for document in stream.documents().to_pylist():
        of_document = times[document["offset"] : document["offset"] + document["tokens"]]
        kept = [line for line in lines if line.document == document["id"] and line.disposition == "kept"]
        assert sum(line.tokens for line in kept) == np.count_nonzero(of_document)
        assert sum(line.again for line in kept) == (of_document - 1).clip(0).sum()


def test_more_than_there_is_is_refused_before_the_first_step(tokens: InputAsset) -> None:
    with pytest.raises(UserError, match="longer than the data"):
        stream_rows(tokens, sequence_length=2**20)
    with pytest.raises(UserError, match="fewer than one batch"):
        RowBatches(stream_rows(tokens), T, T * 2**16, 32, 0)
    with pytest.raises(UserError, match="not a multiple"):
        RowBatches(stream_rows(tokens), T, 65, 32, 0)
