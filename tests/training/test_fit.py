"""What surrounds the loop: books that stop it, checkpoints, stops, and what is said when the loss jumps."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from loresmith.data.shards import TokenShards
from loresmith.errors import Failure, Interrupted, UserError
from loresmith.factory.step import InputAsset, Result
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.training.batches import RowBatches
from loresmith.training.callbacks import Curve
from loresmith.training.causal_lm import CausalLM
from loresmith.training.document_books import Shown, SourceBooks
from loresmith.training.fit import Fitted, fit
from loresmith.training.loop import StepReport
from loresmith.training.loop_settings import LoopSettings
from loresmith.training.rows import Row
from loresmith.training.spikes import SPIKE, WINDOW, LossSpikes
from loresmith.training.steps import PRETRAIN
from loresmith.training.stream_rows import StreamRows
from tests.step_context import RecordingContext, as_input, run_step
from tests.training.tiny_tokens import TINY


class OneTooMany(StreamRows):
    """Says that it shows a token more than its documents have."""

    def books(self, shown: Shown) -> SourceBooks:
        books = super().books(shown)
        return replace(books, learnt=books.learnt + 1)


class OneForgotten(StreamRows):
    """Says that all of a row is learnt from, and masks its first target."""

    def row(self, number: int, epoch: int) -> Row:
        row = super().row(number, epoch)
        weights = np.array(row.weights)
        weights[0] = 0.0
        return replace(row, weights=weights)


def fitted(tokens: InputAsset, context: RecordingContext, source: type[StreamRows]) -> Fitted:
    settings = LoopSettings.model_validate({key: value for key, value in TINY.items() if key != "architecture"})
    config = transformers_config(Architecture(**TINY["architecture"]), vocabulary_size=300, positions=16)
    rows = source(TokenShards.open(tokens.directory).split("train"), 16)
    batches = RowBatches(rows, 16, settings.batch_tokens, settings.micro_batch_tokens, seed=0)
    return fit(context, settings, build_model(config, seed=0), batches, CausalLM(), (), isolated=False)


def test_books_that_do_not_balance_stop_the_run_before_its_first_step(tokens: InputAsset, tmp_path: Path) -> None:
    context = RecordingContext(tmp_path)
    with pytest.raises(Failure, match="the plan to learn from tokens"):
        fitted(tokens, context, OneTooMany)
    assert not any(name == "loss" for name, _, _ in context.metrics)
    assert not context.progressed


def test_the_loop_counts_for_itself_what_was_learnt(tokens: InputAsset, tmp_path: Path) -> None:
    fitted(tokens, RecordingContext(tmp_path / "as it is"), StreamRows).accounts().require_balance("the training")
    with pytest.raises(Failure, match="lessons from tokens, by the loop"):
        fitted(tokens, RecordingContext(tmp_path / "other"), OneForgotten).accounts().require_balance("the training")


def checkpoints(folder: Path) -> list[int]:
    return sorted(int(path.name.rpartition("-")[2]) for path in (folder / "work" / "checkpoints").iterdir())


def test_the_checkpoints_of_every_so_many_steps_are_made_and_stay(tokens: InputAsset, tmp_path: Path) -> None:
    settings = {**TINY, "checkpoint_seconds": 1000, "keep_checkpoints": 1, "keep_every": 3}
    run_step(PRETRAIN, tmp_path, settings, {"tokens": tokens})
    assert checkpoints(tmp_path) == [3, 6, 9, 10]


def test_training_goes_on_while_a_checkpoint_is_written(
    tokens: InputAsset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is flushed to the disk before the step after next is done."""
    steps_on, flush = Event(), os.fsync

    class Watching(RecordingContext):
        def progress(self, done: float, total: float | None, unit: str, /, **numbers: float) -> None:
            if done >= 4 * TINY["batch_tokens"]:
                steps_on.set()

    def wait_and_flush(descriptor: int) -> None:
        assert steps_on.wait(60), "training waits for the disk"
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", wait_and_flush)
    settings = {**TINY, "checkpoint_seconds": 1000, "keep_checkpoints": 1, "keep_every": 2}
    run_step(PRETRAIN, tmp_path, settings, {"tokens": tokens}, Watching(tmp_path))
    assert checkpoints(tmp_path)[0] == 2


def test_rows_too_short_for_a_table_of_positions_are_refused_by_name(tokens: InputAsset, tmp_path: Path) -> None:
    shape = {"n_layer": 1, "n_embd": 32, "n_head": 2}
    settings = {**TINY, "architecture": {"model_type": "gpt2", "overrides": shape}, "sequence_length": 8}
    with pytest.raises(UserError, match="a table of 8 positions"):
        run_step(PRETRAIN, tmp_path, settings, {"tokens": tokens})


def test_a_small_table_that_is_not_of_positions_is_none_of_the_canarys_business(
    tokens: InputAsset, tmp_path: Path
) -> None:
    """BERT tells two types of tokens apart."""
    heads = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    bert = {"model_type": "bert", "overrides": {**heads, "is_decoder": True}}
    run_step(PRETRAIN, tmp_path, {**TINY, "architecture": bert, "precision": "float32"}, {"tokens": tokens})


def test_the_newest_checkpoint_is_from_before_the_training_diverged(tokens: InputAsset, tmp_path: Path) -> None:
    settings = {**TINY, "matrix_learning_rate": 1e30, "embedding_learning_rate": 1e30, "warmup_tokens": 1}
    settings |= {"budget_tokens": "2k", "keep_every": 1, "keep_checkpoints": 5}
    with pytest.raises(Failure, match="diverged") as caught:
        run_step(PRETRAIN, tmp_path, settings, {"tokens": tokens})
    first = int(str(caught.value.where).split()[1])
    assert checkpoints(tmp_path)[-1] == first - 1
    context = RecordingContext(tmp_path)
    with pytest.raises(Failure, match="diverged") as again:
        run_step(PRETRAIN, tmp_path, settings, {"tokens": tokens}, context)
    assert any(line.startswith(f"going on after step {first - 1},") for line in context.logs)
    assert again.value.where == caught.value.where


@pytest.fixture(scope="module")
def base(tokens: InputAsset, tmp_path_factory: pytest.TempPathFactory) -> InputAsset:
    made: Result = run_step(PRETRAIN, tmp_path_factory.mktemp("base"), TINY, {"tokens": tokens})
    return as_input("model", made.outputs["model"])


def test_a_stop_anywhere_changes_neither_weights_nor_facts_nor_what_was_measured(
    tokens: InputAsset, base: InputAsset, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {key: value for key, value in TINY.items() if key != "architecture"}
    inputs = {"tokens": tokens, "base": base}

    def measured(context: RecordingContext) -> list[tuple[str, float, float]]:
        return [point for point in context.metrics if "bits_per_byte" in point[0]]

    whole = RecordingContext(tmp_path / "whole")
    expected = run_step(PRETRAIN, whole.folder, settings, inputs, whole)
    assert measured(whole)[0][2] == 0
    cuts = 0
    for stop_after in range(0, 16):
        folder = tmp_path / str(stop_after)
        stopping = RecordingContext(folder, stop_after=stop_after)
        with pytest.raises(Interrupted):
            run_step(PRETRAIN, folder, settings, inputs, stopping)
        cuts += not measured(stopping)
        last = RecordingContext(folder)
        result = run_step(PRETRAIN, folder, settings, inputs, last)
        assert result.outputs["model"].metadata == expected.outputs["model"].metadata
        assert measured(last) == measured(whole)
    assert cuts, "no stop came while the base was measured"


def losses(curve: Curve, context: RecordingContext, values: list[float], first: int = 1) -> list[tuple[float, int]]:
    """Spikes that are seen in a curve of losses."""
    watching = LossSpikes(curve, context)
    for step, value in enumerate(values, first):
        report = StepReport(step, 64 * step, value, 1.0, 0.01)
        curve.record("loss", value, report.tokens)
        watching.after_step(None, report)  # type: ignore[arg-type]
    return [(value, position) for name, value, position in curve.history if name == SPIKE]


def test_a_loss_that_stands_out_is_an_event_and_one_that_scatters_is_none(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    normal = [float(x) for x in 3.0 + 0.1 * draw.standard_normal(1000)]
    context = RecordingContext(tmp_path)
    assert losses(Curve(context, 1000, 64_000), context, normal) == []
    planted = [*normal[:100], 4.5, *normal[100:120]]
    assert [position for _, position in losses(Curve(context, 1000, 64_000), context, planted)] == [64 * 101]
    assert any("step 101: the loss rose to 4.500" in line for line in context.logs)


def test_a_training_that_goes_on_sees_the_spikes_of_one_that_never_stopped(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    values = [float(x) for x in 3.0 + 0.1 * draw.standard_normal(200)]
    values[WINDOW + 40] = 3.9
    context = RecordingContext(tmp_path)
    whole = Curve(context, 200, 12_800)
    losses(whole, context, values)
    cut = Curve(context, 200, 12_800)
    losses(cut, context, values[: WINDOW + 38])
    goes_on = Curve(context, 200, 12_800)
    goes_on.restore(cut.history)
    losses(goes_on, context, values[WINDOW + 38 :], WINDOW + 39)
    assert goes_on.history == whole.history
    assert sum(name == SPIKE for name, _, _ in whole.history) == 1
