"""`baseline`: what a model has to beat."""

from __future__ import annotations

from collections.abc import Mapping

from loresmith.evaluation.settings import BaselineSettings
from loresmith.evaluation.steps.looking import looker, sample_books
from loresmith.factory.step import Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext


class BaselineConfig(BaselineSettings, StepConfig):
    """Settings of the step `baseline`."""


def _baseline(context: StepContext, config: BaselineConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.evaluation.baseline import measure_baselines
    from loresmith.evaluation.held_out import draw_sample
    from loresmith.evaluation.markdown import baseline_text
    from loresmith.evaluation.reports import BaselineReport, SampleFacts, document_rows, write_report

    corpus, tokenizer = inputs["corpus"], inputs["tokenizer"]
    held_out = draw_sample(corpus.directory, config.split, "evaluate", config.max_documents, config.max_bytes)
    training = draw_sample(corpus.directory, "train", "train", max_bytes=config.train_bytes)
    measured = measure_baselines(
        held_out, training, tokenizer.directory, config, context.threads, looker(context, "bytes")
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
    return Result({"report": Made(directory, {"bits_per_byte": metadata})}, sample_books(report.sample, rows))


BASELINE = Step(
    name="baseline",
    version=2,
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
