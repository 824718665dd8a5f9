"""`evaluate`: whether a model beats what it has to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from loresmith.errors import UserError
from loresmith.evaluation.settings import EvaluateSettings
from loresmith.evaluation.steps.looking import looker, sample_books
from loresmith.factory.step import Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext


class EvaluateConfig(EvaluateSettings, StepConfig):
    """Settings of the step `evaluate`."""

    suite_file: Path | None = Field(
        default=None,
        description="A suite of completion cases as a YAML file, for when it is not an asset (input `suite`).",
        json_schema_extra={"location": True},
    )


def _evaluate(context: StepContext, config: EvaluateConfig, inputs: Mapping[str, InputAsset]) -> Result:
    import torch

    from loresmith.evaluation.evaluate import Subject, evaluate
    from loresmith.evaluation.held_out import draw_sample
    from loresmith.evaluation.markdown import evaluation_text
    from loresmith.evaluation.reports import read_baselines, write_report
    from loresmith.evaluation.seen_cases import seen_cases
    from loresmith.evaluation.suite import SUITE_FILE, read_suite

    suite_file = config.suite_file
    if "suite" in inputs:
        if suite_file is not None:
            raise UserError("a suite is given twice: as the input `suite` and as `suite_file`", hint="keep one of them")
        suite_file = inputs["suite"].directory / SUITE_FILE
    torch.set_num_threads(context.threads)
    corpus = inputs["corpus"]
    suite = read_suite(suite_file) if suite_file is not None else None
    subject = Subject(
        model=inputs["model"].directory,
        model_digest=inputs["model"].digest,
        corpus_digest=corpus.digest,
        sample=draw_sample(corpus.directory, config.split, "evaluate", config.max_documents, config.max_bytes),
        suite=suite,
        baselines=read_baselines(inputs["baseline"].directory) if "baseline" in inputs else None,
        adapter=inputs["adapter"].directory if "adapter" in inputs else None,
        adapter_digest=inputs["adapter"].digest if "adapter" in inputs else None,
        seen=seen_cases(suite, corpus.directory, context.work / "seen", context) if suite is not None else None,
    )
    report, rows = evaluate(subject, config, looker(context, "tokens"))
    directory = context.output("report")
    write_report(directory, report, evaluation_text(report, rows), rows)
    context.metric("bits_per_byte", report.bits_per_byte, report.sample.bytes)
    metadata: dict[str, Any] = {"bits_per_byte": round(report.bits_per_byte, 6), "split": config.split}
    if report.suite is not None:
        context.metric("suite_passed", report.suite.passed, report.suite.cases)
        metadata["suite"] = {"name": report.suite.name, "passed": report.suite.passed, "cases": report.suite.cases}
        if report.suite.clean is not None:
            metadata["suite"]["contaminated"] = len(report.suite.clean.contaminated)
    return Result({"report": Made(directory, metadata)}, sample_books(report.sample, rows))


def _suite_fingerprint(config: EvaluateConfig) -> str:
    """Digest of the suite file, which is checked here so that a mistake in it is found when the plan is made."""
    from loresmith.evaluation.suite import read_suite

    if config.suite_file is None:
        return hashlib.sha256(b"").hexdigest()
    read_suite(config.suite_file)
    return hashlib.sha256(config.suite_file.read_bytes()).hexdigest()


EVALUATE = Step(
    name="evaluate",
    version=5,
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
    packages=("numpy", "peft", "pyarrow", "tokenizers", "torch", "transformers"),
)
