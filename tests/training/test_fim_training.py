"""Training with fill-in-the-middle: the books are the documents', rows keep to their room, a stop changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from loresmith.data.shards import TokenShards
from loresmith.errors import Interrupted, UserError
from loresmith.factory.step import InputAsset
from loresmith.models.fill_in_the_middle import FILL_IN_THE_MIDDLE
from loresmith.models.storage import load_tokenizer
from loresmith.training.batches import RowBatches
from loresmith.training.fim import EXTRA
from loresmith.training.fim_settings import FimSettings
from loresmith.training.packed_rows import PackedRows
from loresmith.training.steps import PRETRAIN, PretrainConfig
from loresmith.training.token_data import token_rows
from tests.step_context import RecordingContext, run_step
from tests.training import fim_tokenizer
from tests.training.fim_tokenizer import raw
from tests.training.tiny_tokens import TINY, write_tokens

SENTINELS = {raw().token_to_id(name) for name in FILL_IN_THE_MIDDLE}
T = 64
SETTINGS = {
    **TINY,
    "sequence_length": T,
    "batch_tokens": 2 * T,
    "micro_batch_tokens": T,
    "budget_tokens": 40 * T,
    "isolate_documents": True,
    "fim": {"rate": 0.7, "level": "line", "longest_middle": 8},
}


@pytest.fixture(scope="module")
def sentinel_tokens(tmp_path_factory: pytest.TempPathFactory) -> InputAsset:
    tokenizer = load_tokenizer(fim_tokenizer.directory())
    return write_tokens(tmp_path_factory.mktemp("tokens") / "asset", tokenizer=tokenizer)


def rows_of(tokens: InputAsset, seed: int = 0, **fim: Any) -> PackedRows:
    settings = FimSettings(**fim) if fim else None
    rows = token_rows(TokenShards.open(tokens.directory), T, "tokens", True, settings, seed)
    assert isinstance(rows, PackedRows)
    return rows


@pytest.mark.parametrize("level", ["document", "line"])
def test_rows_keep_to_their_room_and_each_piece_is_one_document(sentinel_tokens: InputAsset, level: str) -> None:
    rows = rows_of(sentinel_tokens, rate=0.7, level=level)
    turned = 0
    for number, pieces in enumerate(rows.rows):
        row = rows.row(number, 3)
        assert len(row.inputs) <= sum(rows.pieces[piece].room for piece in pieces) <= T
        assert (row.weights == 1).all()
        documents = row.documents if row.documents is not None else np.zeros(len(row.inputs), dtype=int)
        begins = [int(np.flatnonzero(documents == document)[0]) for document in range(len(pieces))]
        ends = [*begins[1:], len(row.inputs)]
        for begin, end, piece in zip(begins, ends, pieces, strict=True):
            sentinels = [token for token in row.targets[begin:end].tolist() if token in SENTINELS]
            assert sorted(sentinels) in ([], sorted(SENTINELS))
            assert end - begin <= rows.pieces[piece].tokens + (EXTRA if sentinels else 0)
            turned += bool(sentinels)
    assert 0.5 < turned / len(rows.pieces) < 0.9


def test_what_the_books_count_is_the_documents_tokens(sentinel_tokens: InputAsset) -> None:
    rows = rows_of(sentinel_tokens, rate=0.9)
    stream = TokenShards.open(sentinel_tokens.directory).split("train")
    assert sum(rows.row(number, 1).learnt for number in range(len(rows))) == len(stream)
    assert sum(int(np.count_nonzero(rows.row(number, 1).weights)) for number in range(len(rows))) > len(stream)
    batches = RowBatches(rows, T, 4 * T, 2 * T, seed=0)
    learnt = sum(batches.batch(step).learnt["tokens"] for step in range(9))
    (shown,) = batches.shown(9)
    assert rows.books(shown).learnt == learnt


def test_a_rate_of_nothing_is_plain_isolated_documents(sentinel_tokens: InputAsset) -> None:
    plain, none = rows_of(sentinel_tokens), rows_of(sentinel_tokens, rate=0)
    assert [list(row) for row in plain.rows] == [list(row) for row in none.rows]
    for number in range(len(plain)):
        assert np.array_equal(plain.row(number, 0).targets, none.row(number, 0).targets)
        assert np.array_equal(plain.row(number, 0).inputs, none.row(number, 0).inputs)


def test_a_row_is_the_same_whenever_it_is_asked_for_and_another_in_another_epoch(sentinel_tokens: InputAsset) -> None:
    rows, again, other = (rows_of(sentinel_tokens, seed, rate=1.0) for seed in (0, 0, 1))
    numbers = range(len(rows))
    backwards = [again.row(number, 2).targets.tolist() for number in reversed(numbers)][::-1]
    assert [rows.row(number, 2).targets.tolist() for number in numbers] == backwards
    for different in (rows.row(0, 3), other.row(0, 2)):
        assert different.targets.tolist() != backwards[0]


def model_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "outputs" / "model").iterdir()}


def test_stopped_and_continued_equals_never_stopped(sentinel_tokens: InputAsset, tmp_path: Path) -> None:
    inputs = {"tokens": sentinel_tokens}
    whole = RecordingContext(tmp_path / "whole")
    run_step(PRETRAIN, whole.folder, SETTINGS, inputs, whole)
    parts = tmp_path / "parts"
    for asked_after in (9, 4):
        with pytest.raises(Interrupted):
            run_step(PRETRAIN, parts, SETTINGS, inputs, RecordingContext(parts, stop_after=asked_after))
    last = RecordingContext(parts)
    run_step(PRETRAIN, parts, SETTINGS, inputs, last)
    assert any("going on after step" in line for line in last.logs)
    assert model_bytes(parts) == model_bytes(whole.folder)

    def curve(context: RecordingContext) -> set[tuple[str, float, float]]:
        return {metric for metric in context.metrics if metric[0] != "tokens_per_second"}

    assert curve(last) == curve(whole)


def test_held_out_numbers_are_of_text_as_it_stands(sentinel_tokens: InputAsset, tmp_path: Path) -> None:
    """An untrained model's number does not depend on how training rows are laid out."""
    numbers = []
    for name, fim in {"plain": None, "turned": {"rate": 1.0}}.items():
        context = RecordingContext(tmp_path / name)
        settings = {**SETTINGS, "fim": fim, "budget_tokens": 2 * T, "warmup_tokens": "1M"}
        run_step(PRETRAIN, context.folder, settings, {"tokens": sentinel_tokens}, context)
        numbers += [value for metric, value, _ in context.metrics if metric == "held_out_bits_per_byte"]
    assert numbers[0] == pytest.approx(numbers[-1], rel=1e-3)


def test_what_cannot_be_turned_is_said_before_the_first_step(
    tokens: InputAsset, sentinel_tokens: InputAsset, tmp_path: Path
) -> None:
    with pytest.raises(ValidationError, match="isolate_documents"):
        PretrainConfig(fim=FimSettings())
    with pytest.raises(ValidationError, match="spm"):
        PretrainConfig.model_validate({"isolate_documents": True, "fim": {"spm": 1}})
    with pytest.raises(UserError, match="no tokens for filling in the middle"):
        run_step(PRETRAIN, tmp_path, SETTINGS, {"tokens": tokens})
    short = {**SETTINGS, "sequence_length": 8, "batch_tokens": 8, "micro_batch_tokens": 8}
    with pytest.raises(UserError, match="too short"):
        run_step(PRETRAIN, tmp_path, short, {"tokens": sentinel_tokens})
