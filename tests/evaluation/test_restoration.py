"""Restoring damaged text: the gaps are fair, the baseline is the best n-grams can do, and the report adds up."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from loresmith.errors import Interrupted, UserError
from loresmith.evaluation.held_out import draw_sample
from loresmith.evaluation.intervals import proportion_interval
from loresmith.evaluation.restoration import draw_gaps, mcnemar
from loresmith.evaluation.restoration_baseline import CharacterGrams
from loresmith.evaluation.restoration_settings import RestorationSettings
from loresmith.evaluation.steps import EVALUATE_RESTORATION
from loresmith.factory.step import Result
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.storage import save_model
from tests.step_context import RecordingContext, run_step
from tests.training import fim_tokenizer
from tests.training.fim_tokenizer import VOCABULARY

from .conftest import asset, write_corpus

TEXTS = ["abab cab\nbacab abba\n" * 3, "cab abc bab\nab ab cab\n" * 3]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with sentinels that has learnt nothing."""
    folder = tmp_path_factory.mktemp("model")
    shape = Architecture(layers=1, width=16, head_dim=16)
    config = transformers_config(shape, vocabulary_size=VOCABULARY, positions=128, end_of_document=0)
    save_model(build_model(config, seed=3), folder, fim_tokenizer.directory())
    return folder


def measured(context: RecordingContext, corpus: Path, model: Path, **settings: object) -> Result:
    inputs = {"corpus": asset("corpus", corpus), "model": asset("model", model)}
    config = {"max_documents": 12, "gaps": 2, "baseline_beam": 8, "resamples": 100, "context": 40, **settings}
    return run_step(EVALUATE_RESTORATION, context.folder, config, inputs, context)


def read(result: Result) -> tuple[dict, str, list[dict]]:
    directory = result.outputs["report"].directory
    rows = [json.loads(line) for line in (directory / "cases.jsonl").read_text("utf-8").splitlines()]
    return (
        json.loads((directory / "report.json").read_text("utf-8")),
        (directory / "report.md").read_text("utf-8"),
        rows,
    )


@pytest.mark.parametrize("order", [2, 3, 5])
def test_with_a_beam_that_drops_nothing_the_baseline_is_the_best_of_all_fillings(order: int) -> None:
    grams = CharacterGrams(TEXTS, order)
    for before, after in [("ab", "b ca"), ("", "b"), ("bacab ab", "a\n"), ("cab", "")]:
        likelihood = {}
        for length in (1, 2, 3):
            for filling in map("".join, itertools.product("abc ", repeat=length)):
                # By the probability of the whole string, from the model's own scoring of texts.
                (nats,) = grams._grams.nats([grams._ids(before + filling + after)])
                likelihood[filling] = -float(nats[len(before) :].sum())
        best = max(likelihood.values())
        answer = grams.restore(before, after, longest=3, beam=10_000)
        assert likelihood[answer] == pytest.approx(best, abs=1e-9)


def test_the_baseline_looks_at_both_sides() -> None:
    grams = CharacterGrams(["the cat sat. the dog ran. " * 20], 5)
    assert grams.restore("the ", "at sat", 3, 64) == "c"
    assert grams.restore("the ", "og ran", 3, 64) == "d"
    assert grams.restore("the d", "g ran", 3, 64) == "o"


def test_a_character_that_was_never_counted_is_no_obstacle() -> None:
    grams = CharacterGrams(["plain text, plain text\n"], 5)
    assert grams.restore("日本 pl", "in 🙂", 2, 16) == "a"


def test_gaps_give_the_document_back_and_do_not_depend_on_others(corpus: Path) -> None:
    settings = RestorationSettings(gaps=6)
    sample = draw_sample(corpus, "test", "evaluate")
    gaps = draw_gaps(sample.documents, settings)
    texts = {document.id: document.text for document in sample.documents}
    assert Counter(gap.document for gap in gaps) == dict.fromkeys(texts, 6)
    for gap in gaps:
        whole = texts[gap.document]
        assert whole[gap.start :].startswith(gap.missing + gap.after)
        assert whole[: gap.start].endswith(gap.before)
        assert 1 <= len(gap.missing) <= 8
        assert gap.missing.strip()
        assert "\n" not in gap.missing
    few = draw_gaps(sample.documents[:3], settings)
    assert few == [gap for gap in gaps if gap.document in {document.id for document in sample.documents[:3]}]
    assert draw_gaps(sample.documents, RestorationSettings(gaps=6, seed=1)) != gaps


def test_the_report_is_what_the_cases_say(corpus: Path, model: Path, tmp_path: Path) -> None:
    context = RecordingContext(tmp_path)
    report, page, rows = read(measured(context, corpus, model))
    assert report["restored"]["of"] == len(rows) == 24
    for key, name in (("right", "restored"), ("baseline_right", "baseline")):
        right = sum(row[key] for row in rows)
        assert report[name]["right"] == right
        between = proportion_interval(right, len(rows))
        assert between is not None
        assert report[name]["interval"] == between.model_dump()
    assert all(row["right"] == (row["output"] == row["missing"]) for row in rows)
    assert all(row["baseline_right"] == (row["baseline_output"] == row["missing"]) for row in rows)
    assert report["baseline"]["right"] > 6, "text that is made of ten words"
    assert report["only_model"] == sum(row["right"] > row["baseline_right"] for row in rows)
    assert report["only_baseline"] == sum(row["right"] < row["baseline_right"] for row in rows)
    assert report["difference"] == pytest.approx((report["restored"]["right"] - report["baseline"]["right"]) / 24)
    assert report["interval"]["low"] <= report["difference"] <= report["interval"]["high"] < 0
    assert report["verdict"] == "below"
    assert sum(each["model"]["of"] for each in report["lengths"]) == 24
    assert "a 5-gram model of characters" in page
    assert "not reached" in page
    assert context.progressed[-1][:3] == (24, 24, "gaps")
    assert ("restored", report["restored"]["right"] / 24, 24) in context.metrics


def test_the_same_measurement_makes_the_same_bytes(corpus: Path, model: Path, tmp_path: Path) -> None:
    contents = []
    for name in "ab":
        directory = (
            measured(RecordingContext(tmp_path / name), corpus, model, max_documents=4).outputs["report"].directory
        )
        contents.append({path.name: path.read_bytes() for path in directory.iterdir()})
    assert contents[0] == contents[1]


def test_a_document_with_nothing_to_knock_out_is_in_the_books(model: Path, tmp_path: Path) -> None:
    texts = {"empty.txt": (" \n\n\t", "test"), "a.txt": ("Something. " * 5, "test"), "b.txt": ("Plain. " * 20, "train")}
    corpus = write_corpus(tmp_path / "corpus", texts)
    result = measured(RecordingContext(tmp_path), corpus, model)
    (account,) = result.books.accounts
    assert account.entered == 2
    assert {(entry.disposition, entry.count) for entry in account.left} == {("kept", 1), ("dropped", 1)}
    nothing = write_corpus(tmp_path / "nothing", {"e.txt": (" \n", "test"), "b.txt": ("Plain.", "train")})
    with pytest.raises(UserError, match="nothing that could be knocked out"):
        measured(RecordingContext(tmp_path / "n"), nothing, model)


def test_a_stop_is_heeded(corpus: Path, model: Path, tmp_path: Path) -> None:
    for answers in (0, 3):
        with pytest.raises(Interrupted):
            measured(RecordingContext(tmp_path, stop_after=answers), corpus, model)


def test_mcnemar_is_a_coin_for_each_disagreement() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 5) == 1
    assert mcnemar(10, 2) == mcnemar(2, 10) == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    draws = np.random.default_rng(0).binomial(30, 0.5, 20_000)
    assert np.mean([mcnemar(int(k), 30 - int(k)) <= 0.05 for k in draws]) < 0.05
    assert mcnemar(2000, 1) < 1e-300
