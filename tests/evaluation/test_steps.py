"""The steps end to end on a small corpus: their reports agree with each other and with the definitions."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from loresmith.errors import Interrupted, UserError
from loresmith.evaluation.held_out import draw_sample
from loresmith.evaluation.steps import BASELINE, EVALUATE, EvaluateConfig
from loresmith.factory.step import Result
from tests.step_context import RecordingContext, run_step

from .conftest import asset, source, write_corpus

SUITE = """\
name: anything
cases:
  - {name: whatever, prompt: "import", expected: "(?s).*", scorer: regex, max_new_tokens: 3}
  - {name: never, prompt: "import", expected: "no such text", scorer: contains, max_new_tokens: 3}
"""


def report_of(result: Result) -> tuple[dict[str, Any], str, list[dict[str, Any]]]:
    directory = result.outputs["report"].directory
    rows = [json.loads(line) for line in (directory / "cases.jsonl").read_text("utf-8").splitlines()]
    return json.loads((directory / "report.json").read_text()), (directory / "report.md").read_text("utf-8"), rows


def run_baseline(context: RecordingContext, corpus: Path, tokenizer: Path, **settings: Any) -> Result:
    inputs = {"corpus": asset("corpus", corpus), "tokenizer": asset("tokenizer", tokenizer)}
    return run_step(BASELINE, context.folder, {"resamples": 100, **settings}, inputs, context)


def run_evaluate(
    context: RecordingContext, corpus: Path, model: Path, baseline: Path | None = None, **settings: Any
) -> Result:
    inputs = {"corpus": asset("corpus", corpus), "model": asset("model", model)}
    if baseline is not None:
        inputs["baseline"] = asset("report", baseline)
    config = {"resamples": 100, "samples": 2, "sample_tokens": 4, **settings}
    return run_step(EVALUATE, context.folder, config, inputs, context)


@pytest.fixture
def context(tmp_path: Path) -> RecordingContext:
    return RecordingContext(tmp_path)


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    return path


def test_baselines_and_a_model_that_learnt_nothing(
    context: RecordingContext, corpus: Path, tokenizer: Path, model: Path, suite_file: Path
) -> None:
    made = run_baseline(context, corpus, tokenizer)
    baselines, page, rows = report_of(made)
    numbers = {each["name"]: each["bits_per_byte"] for each in baselines["baselines"]}
    assert set(numbers) == {"xz", "5-gram", "xz-with-training"}
    assert 0 <= numbers["xz-with-training"] < numbers["xz"] < 8
    assert 0 < numbers["5-gram"] < 3
    assert all(each["title"] in page for each in baselines["baselines"])
    assert sum(row["nats"] for row in rows) / math.log(2) / baselines["sample"]["bytes"] == pytest.approx(
        numbers["5-gram"]
    )

    kept = context.work / "baseline"
    made.outputs["report"].directory.rename(kept)
    result = run_evaluate(context, corpus, model, kept, suite_file=suite_file)
    report, page, rows = report_of(result)
    assert report["sample"] == baselines["sample"]
    assert report["sample"]["documents"] == 25
    documents = [row for row in rows if row["kind"] == "document"]
    assert report["bits_per_byte"] == pytest.approx(
        sum(row["nats"] for row in documents) / math.log(2) / sum(row["bytes"] for row in documents)
    )
    assert report["bits_per_byte"] == pytest.approx(
        math.log2(320) * report["tokens"] / report["sample"]["bytes"], rel=0.05
    )
    assert report["interval"]["low"] < report["bits_per_byte"] < report["interval"]["high"]
    assert {group["group"]: group["documents"] for group in report["groups"]} == {
        "pkg0": 12,
        "pkg1": 12,
        "(top level)": 1,
    }
    verdicts = {each["baseline"]["name"]: each for each in report["verdicts"]}
    for name, verdict in verdicts.items():
        assert verdict["verdict"] == "above"
        assert verdict["difference"] == pytest.approx(report["bits_per_byte"] - numbers[name])
        assert verdict["paired"] is (name == "5-gram")
    assert (report["suite"]["passed"], report["suite"]["failed"]) == (1, ["never"])
    assert [row["name"] for row in rows if row["kind"] == "case"] == ["whatever", "never"]
    assert all(isinstance(row["output"], str) and row["expected"] for row in rows if row["kind"] == "case")
    samples = [row for row in rows if row["kind"] == "sample"]
    assert len(samples) == report["samples"]["count"] == 2
    assert "not reached" in page
    assert "no such text" in page
    assert context.progressed[-1][:3] == (report["tokens"], report["tokens"], "tokens")
    assert ("bits_per_byte", report["bits_per_byte"], report["sample"]["bytes"]) in context.metrics


def test_cases_that_the_training_text_holds_are_counted_apart(
    context: RecordingContext, corpus: Path, model: Path
) -> None:
    cases = [
        {"name": "seen", "prompt": source(3)[20:200], "expected": "(?s).*", "scorer": "regex", "max_new_tokens": 2},
        {
            "name": "unseen",
            "prompt": "Totals are made of items, and paths of lines. " * 3,
            "expected": "none",
            "max_new_tokens": 2,
        },
        {"name": "tiny", "prompt": "import", "expected": "no text", "max_new_tokens": 2},
    ]
    path = context.work / "suite.yaml"
    path.write_text(json.dumps({"name": "some", "cases": cases}))
    report, page, rows = report_of(run_evaluate(context, corpus, model, suite_file=path, samples=0, max_documents=2))
    assert report["suite"]["passed"] == 1
    clean = report["suite"]["clean"]
    assert (clean["contaminated"], clean["not_judged"]) == (["seen"], 1)
    assert (clean["cases"], clean["passed"]) == (2, 0)
    assert [row["contaminated"] for row in rows if row["kind"] == "case"] == [True, False, False]
    assert "1 of the cases are in the corpus's training text: `seen`. Without them **0 of 2** came out right." in page
    assert "Of 1 it cannot be told" in page


def test_the_same_measurement_makes_the_same_bytes(context: RecordingContext, corpus: Path, model: Path) -> None:
    contents = []
    for _ in range(2):
        directory = run_evaluate(context, corpus, model, max_documents=12).outputs["report"].directory
        contents.append({path.name: path.read_bytes() for path in directory.iterdir()})
    assert contents[0] == contents[1]


def test_bfloat16_and_batches_change_little(context: RecordingContext, corpus: Path, model: Path) -> None:
    numbers = [
        report_of(run_evaluate(context, corpus, model, samples=0, **settings))[0]["bits_per_byte"]
        for settings in ({}, {"batch_tokens": 100}, {"precision": "bfloat16"}, {"window": 64, "stride": 32})
    ]
    assert numbers[1] == pytest.approx(numbers[0], rel=1e-5)
    assert numbers[2] == pytest.approx(numbers[0], rel=1e-2)
    assert numbers[3] == pytest.approx(numbers[0], rel=1e-2)


def test_baselines_of_other_text_are_refused(
    context: RecordingContext, corpus: Path, tokenizer: Path, model: Path
) -> None:
    kept = context.work / "baseline"
    run_baseline(context, corpus, tokenizer, max_documents=5).outputs["report"].directory.rename(kept)
    with pytest.raises(UserError, match="other text"):
        run_evaluate(context, corpus, model, kept)
    report = run_evaluate(context, corpus, model, samples=0).outputs["report"].directory.rename(context.work / "other")
    with pytest.raises(UserError, match="not one of the step `baseline`"):
        run_evaluate(context, corpus, model, report)


def test_a_stop_is_heeded(context: RecordingContext, corpus: Path, tokenizer: Path, model: Path) -> None:
    for answers in (0, 2):
        with pytest.raises(Interrupted):
            run_evaluate(RecordingContext(context.folder, stop_after=answers), corpus, model)
    with pytest.raises(Interrupted):
        run_baseline(RecordingContext(context.folder, stop_after=0), corpus, tokenizer)


def test_what_cannot_be_measured_is_said(context: RecordingContext, corpus: Path, tokenizer: Path, model: Path) -> None:
    with pytest.raises(UserError, match="128 positions"):
        run_evaluate(context, corpus, model, window=4096)
    with pytest.raises(UserError, match="leaves gaps"):
        run_evaluate(context, corpus, model, window=64, stride=65)
    with pytest.raises(UserError, match="no documents in the split 'validation'"):
        run_evaluate(context, corpus, model, split="validation")
    with pytest.raises(UserError, match="no documents"):
        run_baseline(context, tokenizer, tokenizer)


def test_the_sample_does_not_depend_on_what_else_is_there(corpus: Path) -> None:
    few, more = (draw_sample(corpus, "test", "evaluate", max_documents=count) for count in (5, 15))
    assert {document.id for document in few.documents} < {document.id for document in more.documents}
    small = draw_sample(corpus, "test", "evaluate", max_bytes=1)
    assert len(small.documents) == 1
    assert draw_sample(corpus, "test", "evaluate", max_bytes=few.bytes).digest == few.digest
    assert (few.of_documents, few.of_bytes) == (more.of_documents, more.of_bytes)


def test_the_fingerprint_is_of_the_suites_content_and_its_mistakes_come_early(suite_file: Path) -> None:
    fingerprint = EVALUATE.fingerprint
    assert fingerprint is not None
    first = fingerprint(EvaluateConfig(suite_file=suite_file))
    suite_file.write_text(SUITE + "\n")
    assert fingerprint(EvaluateConfig(suite_file=suite_file)) != first
    suite_file.write_text(SUITE.replace("cases:", "casse:"))
    with pytest.raises(UserError, match="did you mean 'cases'"):
        fingerprint(EvaluateConfig(suite_file=suite_file))
    suite_file.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        fingerprint(EvaluateConfig(suite_file=suite_file))


def test_an_adapter_is_measured_on_its_base_and_on_no_other(
    context: RecordingContext, corpus: Path, model: Path, tmp_path: Path
) -> None:
    from loresmith.models.adapter_merge import merge_directories
    from loresmith.models.adapter_settings import AdapterSettings
    from loresmith.models.adapter_storage import save_adapter
    from loresmith.models.adapters import add_adapter
    from loresmith.models.storage import load_weights
    from tests.models.adapted_models import learnt

    adapted = load_weights(model)
    add_adapter(adapted, AdapterSettings(rank=4), seed=0)
    base, adapter, merged = asset("model", model), tmp_path / "adapter", tmp_path / "merged"
    save_adapter(learnt(adapted, 0.5), adapter, base.digest)
    merge_directories(model, base.digest, adapter, merged, "stored")

    inputs = {"corpus": asset("corpus", corpus), "model": base, "adapter": asset("adapter", adapter)}
    config = {"resamples": 100, "samples": 1, "sample_tokens": 4, "max_documents": 4}
    report, page, _ = report_of(run_step(EVALUATE, context.folder, config, inputs, context))
    assert (report["model"], report["adapter"]) == (base.digest, inputs["adapter"].digest)
    assert "with an adapter" in page
    alone, plain_page, _ = report_of(run_evaluate(context, corpus, model, max_documents=4))
    assert abs(report["bits_per_byte"] - alone["bits_per_byte"]) > 0.001
    assert (alone["adapter"], "with an adapter" in plain_page) == (None, False)
    together, _, _ = report_of(run_evaluate(context, corpus, merged, max_documents=4))
    assert report["bits_per_byte"] == pytest.approx(together["bits_per_byte"], rel=1e-5)

    with pytest.raises(UserError, match=f"for the base {base.digest}"):
        run_step(EVALUATE, context.folder, config, {**inputs, "model": asset("model", merged)}, context)


def test_what_may_not_be_used_so_is_neither_measured_nor_counted_by_baselines(
    tmp_path: Path, tokenizer: Path, model: Path
) -> None:
    texts = {f"{split}/{number}.py": (source(number), split) for split in ("train", "test") for number in range(6)}
    secret = {f"secret/{split}.py": (source(100), split) for split in ("train", "test")}
    rights = {"secret/train.py": {"uses": ["evaluate"]}, "secret/test.py": {"uses": ["train"]}}
    corpora = {
        "without": write_corpus(tmp_path / "without", texts),
        "refused": write_corpus(tmp_path / "refused", {**texts, **secret}, rights),
    }
    reports, facts, books = [], [], []
    for name, corpus in corpora.items():
        context = RecordingContext(tmp_path / name / "out")
        evaluated = run_evaluate(context, corpus, model)
        measured = run_baseline(RecordingContext(tmp_path / name / "baseline"), corpus, tokenizer)
        reports.append((report_of(evaluated)[0]["bits_per_byte"], dict(measured.outputs["report"].metadata)))
        facts.append((report_of(evaluated)[0]["sample"], report_of(measured)[0]["training"]))
        books.append({account.unit: account for account in evaluated.books.accounts}["documents"])
    assert reports[0] == reports[1]
    assert [sample["digest"] for sample in facts[0]] == [sample["digest"] for sample in facts[1]]
    assert [(sample["of_documents"], sample["not_allowed_documents"]) for sample in facts[1]] == [(7, 1), (7, 1)]
    entries = {(entry.disposition, entry.reason): entry.count for entry in books[1].left}
    assert entries == {("kept", ""): 6, ("dropped", "not allowed: evaluate"): 1}
    nothing = write_corpus(tmp_path / "nothing", texts, {path: {"uses": ["train"]} for path in texts})
    with pytest.raises(UserError, match="none of the 6 documents in the split 'test' may be used to evaluate"):
        run_evaluate(RecordingContext(tmp_path / "none"), nothing, model)


def test_nothing_is_measured_on_what_should_be_gone(tmp_path: Path, tokenizer: Path, model: Path) -> None:
    texts = {f"{split}/{number}.py": (source(number), split) for split in ("train", "test") for number in range(3)}
    corpus = write_corpus(tmp_path / "corpus", texts, {"train/1.py": {"retain_until": "2020-01-31"}})
    for run, other in ((run_evaluate, model), (run_baseline, tokenizer)):
        with pytest.raises(UserError, match=r"kept too long, its last day was 2020-01-31: train/1\.py"):
            run(RecordingContext(tmp_path / run.__name__), corpus, other)
    assert draw_sample(corpus, "test", "evaluate", on=date(2020, 1, 31)).of_documents == 3
