"""`evaluate-restoration`: how well a model restores damaged text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loresmith.evaluation.restoration_settings import RestorationSettings
from loresmith.evaluation.steps.looking import NOT_ALLOWED, looker
from loresmith.factory.step import Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext
from loresmith.ledger.books import Account, Books, Entry

BLANK = "they are all white space"
NOT_CHOSEN = "beyond max_documents"


class RestorationConfig(RestorationSettings, StepConfig):
    """Settings of the step `evaluate-restoration`."""


def _evaluate_restoration(context: StepContext, config: RestorationConfig, inputs: Mapping[str, InputAsset]) -> Result:
    import torch

    from loresmith.evaluation.held_out import draw_sample
    from loresmith.evaluation.reports import write_report
    from loresmith.evaluation.restoration import evaluate_restoration
    from loresmith.evaluation.restoration_report import restoration_text
    from loresmith.models.storage import load_model

    torch.set_num_threads(context.threads)
    model, corpus = inputs["model"], inputs["corpus"]
    held_out = draw_sample(corpus.directory, config.split, "evaluate", config.max_documents)
    training = draw_sample(corpus.directory, "train", "train", max_bytes=config.train_bytes)
    loaded, tokenizer = load_model(model.directory)
    digests = (model.digest, corpus.digest)
    report, rows = evaluate_restoration(loaded, tokenizer, digests, held_out, training, config, looker(context, "gaps"))
    directory = context.output("report")
    write_report(directory, report, restoration_text(report, rows), rows)
    context.metric("restored", report.restored.share, report.restored.of)
    context.metric("restored_by_baseline", report.baseline.share, report.baseline.of)
    metadata = {
        "restored": report.restored.right,
        "restored_by_baseline": report.baseline.right,
        "gaps": report.restored.of,
        "split": config.split,
    }
    return Result({"report": Made(directory, metadata)}, _books(held_out, rows))


def _books(sample: Any, rows: Sequence[Mapping[str, Any]]) -> Books:
    """Documents that were damaged, counted from what was asked, beside those of the split."""
    damaged = len({row["id"] for row in rows})
    entries = [
        Entry(disposition="kept", reason="", count=damaged),
        Entry(disposition="dropped", reason=BLANK, count=sum(not each.text.strip() for each in sample.documents)),
        Entry(disposition="dropped", reason=NOT_ALLOWED, count=sample.not_allowed_documents),
        Entry(
            disposition="dropped",
            reason=NOT_CHOSEN,
            count=sample.of_documents - sample.not_allowed_documents - len(sample.documents),
        ),
    ]
    left = tuple(entry for entry in entries if entry.count)
    return Books(accounts=(Account(unit="documents", entered=sample.of_documents, left=left),))


EVALUATE_RESTORATION = Step(
    name="evaluate-restoration",
    version=3,
    summary="Knock characters out of held-out text and have a model restore them, beside an n-gram model.",
    config=RestorationConfig,
    inputs={
        "model": Input("model", "A model that was trained to fill in the middle."),
        "corpus": Input("corpus", "The corpus that it was trained on, whose held-out text is damaged."),
    },
    outputs={"report": Output("report", "How many gaps came out right, by length, against the baseline; every case.")},
    run=_evaluate_restoration,
    packages=("numpy", "tokenizers", "torch", "transformers"),
)
