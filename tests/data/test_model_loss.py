"""A language model's loss is a score of curation, and the same number that evaluation gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from loresmith.data.curation.model_loss import ModelLoss
from loresmith.data.encoding import Encoder
from loresmith.evaluation.bits_per_byte import TokenDocument, score_documents
from loresmith.factory.step import InputAsset
from loresmith.models.storage import load_model
from tests.cli.conftest import tiny_model
from tests.data.tables import rows
from tests.data.test_curate_edits import WHOLE, documents
from tests.data.test_curation import sentences
from tests.step_context import run_step


def test_it_is_the_loss_that_evaluation_reports_as_far_as_the_window_reaches(tmp_path: Path) -> None:
    directory = tiny_model(tmp_path / "model")
    text = "Prüfe den Druck. " * 4
    nats, seen = ModelLoss(directory)(text)
    encoder = Encoder.load(directory)
    ids = [encoder.end_of_document, *encoder.document(text)[:-1]]
    model, _ = load_model(directory)
    (score,) = score_documents(model, [TokenDocument("a", "", ids, len(text.encode()))], window=len(ids))
    assert seen == len(text.encode())
    assert nats == pytest.approx(score.nats, rel=1e-5)
    long_nats, long_seen = ModelLoss(directory)(text * 500)
    assert 0 < long_seen < len((text * 500).encode())
    assert long_nats > nats
    assert ModelLoss(directory)("") == (0.0, 0)


def test_a_recipe_may_drop_what_a_model_makes_nothing_of(tmp_path: Path) -> None:
    from loresmith.data.steps import CURATE

    given = documents(tmp_path, {f"{number}.txt": sentences(number) for number in range(3)})
    judge = InputAsset(digest="1" * 64, kind="model", directory=tiny_model(tmp_path / "model"), metadata={}, labels=())
    config = {**WHOLE, "bounds": {"manuals": {"bits_per_byte": {"consequence": "flag", "maximum": 0.5}}}}
    made = run_step(CURATE, tmp_path / "c", config, {"documents": given, "judge": judge}).outputs["corpus"]
    for row in rows(made.directory, "scores.parquet"):
        assert dict(row["scores"])["bits_per_byte"] > 0.5
        assert [breach["name"] for breach in row["breaches"]] == ["bits_per_byte"]
        assert row["disposition"] == "kept"
