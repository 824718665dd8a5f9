"""The steps of this room: `baseline` says what has to be beaten, `evaluate` whether it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from loresmith.errors import UserError
from loresmith.evaluation.settings import BaselineSettings, EvaluateSettings
from loresmith.factory.step import Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext
from loresmith.ledger.books import Account, Books, Entry


class BaselineConfig(BaselineSettings, StepConfig):
    """Settings of the step `baseline`."""


class EvaluateConfig(EvaluateSettings, StepConfig):
    """Settings of the step `evaluate`."""

    suite_file: Path | None = Field(
        default=None,
        description="A suite of completion cases as a YAML file, for when it is not an asset (input `suite`).",
        json_schema_extra={"location": True},
    )


def _baseline(context: StepContext, config: BaselineConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.evaluation.baseline import measure_baselines
    from loresmith.evaluation.held_out import draw_sample
    from loresmith.evaluation.markdown import baseline_text
    from loresmith.evaluation.reports import BaselineReport, SampleFacts, document_rows, write_report

    corpus, tokenizer = inputs["corpus"], inputs["tokenizer"]
    held_out = draw_sample(corpus.directory, config.split, config.max_documents, config.max_bytes)
    training = draw_sample(corpus.directory, "train", max_bytes=config.train_bytes)
    measured = measure_baselines(
        held_out, training, tokenizer.directory, config, context.threads, _look(context, "bytes")
    )
    report = BaselineReport(
        corpus=corpus.digest,
        tokenizer=tokenizer.digest,
        sample=SampleFacts.of(held_out),
        training=SampleFacts.of(training),
        baselines=measured.baselines,
    )
    rows = [
        row for name, scores in measured.by_document.items() for row in document_rows(held_out, scores, baseline=name)
    ]
    directory = context.output("report")
    write_report(directory, report, baseline_text(report), rows)
    for baseline in report.baselines:
        context.metric(f"bits_per_byte/{baseline.name}", baseline.bits_per_byte, held_out.bytes)
    metadata = {baseline.name: round(baseline.bits_per_byte, 6) for baseline in report.baselines}
    return Result({"report": Made(directory, {"bits_per_byte": metadata})}, _books(report.sample, rows))


def _evaluate(context: StepContext, config: EvaluateConfig, inputs: Mapping[str, InputAsset]) -> Result:
    import torch

    from loresmith.evaluation.evaluate import Subject, evaluate
    from loresmith.evaluation.held_out import draw_sample
    from loresmith.evaluation.markdown import evaluation_text
    from loresmith.evaluation.reports import read_baselines, write_report
    from loresmith.evaluation.suite import SUITE_FILE, read_suite

    suite_file = config.suite_file
    if "suite" in inputs:
        if suite_file is not None:
            raise UserError("a suite is given twice: as the input `suite` and as `suite_file`", hint="keep one of them")
        suite_file = inputs["suite"].directory / SUITE_FILE
    torch.set_num_threads(context.threads)
    corpus = inputs["corpus"]
    subject = Subject(
        model=inputs["model"].directory,
        model_digest=inputs["model"].digest,
        corpus_digest=corpus.digest,
        sample=draw_sample(corpus.directory, config.split, config.max_documents, config.max_bytes),
        suite=read_suite(suite_file) if suite_file is not None else None,
        baselines=read_baselines(inputs["baseline"].directory) if "baseline" in inputs else None,
        adapter=inputs["adapter"].directory if "adapter" in inputs else None,
        adapter_digest=inputs["adapter"].digest if "adapter" in inputs else None,
    )
    report, rows = evaluate(subject, config, _look(context, "tokens"))
    directory = context.output("report")
    write_report(directory, report, evaluation_text(report, rows), rows)
    context.metric("bits_per_byte", report.bits_per_byte, report.sample.bytes)
    metadata: dict[str, Any] = {"bits_per_byte": round(report.bits_per_byte, 6), "split": config.split}
    if report.suite is not None:
        context.metric("suite_passed", report.suite.passed, report.suite.cases)
        metadata["suite"] = {"name": report.suite.name, "passed": report.suite.passed, "cases": report.suite.cases}
    return Result({"report": Made(directory, metadata)}, _books(report.sample, rows))


def _look(context: StepContext, unit: str) -> Callable[[int, int], None]:
    def look(done: int, total: int) -> None:
        context.progress(done, total, unit)
        if context.stop_requested():
            context.stopped()

    return look


def _books(sample: Any, rows: Iterable[Mapping[str, Any]]) -> Books:
    """What was scored, counted from the scores, beside what the sample left out, counted when it was drawn."""
    scored = {row["id"]: row["bytes"] for row in rows if row["kind"] == "document"}

    def account(unit: str, kept: int, chosen: int, entered: int) -> Account:
        entries = [Entry(disposition="kept", reason="", count=kept)]
        if chosen < entered:
            reason = "beyond max_documents or max_bytes"
            entries.append(Entry(disposition="dropped", reason=reason, count=entered - chosen))
        return Account(unit=unit, entered=entered, left=tuple(entries))

    return Books(
        accounts=(
            account("documents", len(scored), sample.documents, sample.of_documents),
            account("bytes", sum(scored.values()), sample.bytes, sample.of_bytes),
        )
    )


def _suite_fingerprint(config: EvaluateConfig) -> str:
    """Digest of the suite file, which is checked here so that a mistake in it is found when the plan is made."""
    from loresmith.evaluation.suite import read_suite

    if config.suite_file is None:
        return hashlib.sha256(b"").hexdigest()
    read_suite(config.suite_file)
    return hashlib.sha256(config.suite_file.read_bytes()).hexdigest()


BASELINE = Step(
    name="baseline",
    version=1,
    summary="Measure what a model has to beat on held-out text: xz, an n-gram model, xz with the training text.",
    config=BaselineConfig,
    inputs={
        "corpus": Input("corpus", "The corpus whose held-out text is measured."),
        "tokenizer": Input("tokenizer", "The tokenizer whose tokens the n-gram model counts."),
    },
    outputs={"report": Output("report", "Bits per byte of each baseline, and the n-gram model's by document.")},
    run=_baseline,
    packages=("numpy", "tokenizers"),
)

EVALUATE = Step(
    name="evaluate",
    version=2,
    summary="Measure a model on held-out text and on a suite of cases, and hold it against the baselines.",
    config=EvaluateConfig,
    inputs={
        "model": Input("model", "The model."),
        "adapter": Input("adapter", "An adapter to measure on the model, which is its base.", optional=True),
        "corpus": Input("corpus", "The corpus that the model was trained on, whose held-out text is measured."),
        "suite": Input("suite", "Completion cases.", optional=True),
        "baseline": Input("report", "What the model is held against: the report of a step `baseline`.", optional=True),
    },
    outputs={"report": Output("report", "Bits per byte overall and by group, the suite's verdict, samples.")},
    run=_evaluate,
    fingerprint=_suite_fingerprint,
    packages=("numpy", "peft", "tokenizers", "torch", "transformers"),
)
