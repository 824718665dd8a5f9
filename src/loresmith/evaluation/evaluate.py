"""The measurement of a model: held-out text, a suite, samples, and the baselines it is held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from loresmith.data.encoding import Encoder
from loresmith.errors import UserError
from loresmith.evaluation.bits_per_byte import TokenDocument, score_documents
from loresmith.evaluation.comparison import hold_against
from loresmith.evaluation.completions import make_samples, run_suite
from loresmith.evaluation.held_out import GroupBy, Sample, group_of
from loresmith.evaluation.passages import choose_passages
from loresmith.evaluation.reports import (
    BaselineReport,
    EvaluationReport,
    GroupScore,
    MeasuredBaselines,
    Rows,
    SampleFacts,
    Verdict,
    document_rows,
)
from loresmith.evaluation.scores import DocumentScore, bits_per_byte, bits_per_byte_interval
from loresmith.evaluation.settings import EvaluateSettings
from loresmith.evaluation.suite import Suite
from loresmith.models.generate import complete
from loresmith.models.storage import load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from loresmith.data.contamination.findings import SuiteFound

WINDOW_WITHOUT_POSITIONS = 2048
"""For models whose context has no end, such as state-space models."""


@dataclass(frozen=True)
class Subject:
    """What is evaluated, and on what.

    Attributes:
        model: directory of the model, or of an adapter's base.
        model_digest, corpus_digest: what the report names them by.
        adapter: directory of an adapter that is measured on its base, if any.
        adapter_digest: what the report names it by.
        seen: what the training text of the corpus holds of the suite.
        sample: the held-out text.
        suite: cases to put to the model, if any.
        baselines: what it is held against, if anything.
    """

    model: Path
    model_digest: str
    corpus_digest: str
    sample: Sample
    suite: Suite | None
    baselines: MeasuredBaselines | None
    adapter: Path | None = None
    adapter_digest: str | None = None
    seen: SuiteFound | None = None


def evaluate(
    subject: Subject, settings: EvaluateSettings, look: Callable[[int, int], None]
) -> tuple[EvaluationReport, Rows]:
    """Measure a model.

    Args:
        subject: what is measured.
        settings: how.
        look: called between batches and between pieces of text with the held-out tokens that are scored and all that
            there are; it may raise to stop.

    Returns:
        The report, and the rows of cases.jsonl: documents, then the suite's cases, then samples.

    Raises:
        UserError: the model or its tokenizer cannot be used, the adapter is for another model, the window or stride
            does not fit it, or the baselines are of other text.
    """
    if subject.baselines is not None:
        _require_same_text(subject, subject.baselines.report)
    precision = None if settings.precision == "stored" else getattr(torch, settings.precision)
    model, tokenizer, encoder = _loaded(subject, precision)
    window, stride = _window(model, settings)
    documents = _encoded(subject.sample, encoder, settings.group_by)
    tokens = sum(len(document.ids) - 1 for document in documents)
    scores = score_documents(
        model,
        documents,
        window=window,
        stride=stride,
        batch_tokens=settings.batch_tokens,
        on_batch=lambda counted: look(counted, tokens),
    )
    write, scored = partial(complete, model, tokenizer), partial(look, tokens, tokens)
    suite, suite_rows = (
        run_suite(subject.suite, write, scored, subject.seen) if subject.suite is not None else (None, [])
    )
    passages = choose_passages(subject.sample.documents, settings.samples)
    samples, sample_rows = make_samples(passages, write, settings.sample_tokens, scored)
    report = EvaluationReport(
        model=subject.model_digest,
        adapter=subject.adapter_digest,
        corpus=subject.corpus_digest,
        sample=SampleFacts.of(subject.sample),
        bits_per_byte=bits_per_byte(scores),
        interval=bits_per_byte_interval(scores, settings.resamples, settings.seed),
        tokens=tokens,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        window=window,
        stride=stride,
        precision=str(model.dtype).removeprefix("torch."),
        seed=settings.seed,
        resamples=settings.resamples,
        group_by=settings.group_by,
        groups=_groups(scores, settings),
        verdicts=_verdicts(scores, subject.baselines, settings),
        suite=suite,
        samples=samples,
    )
    return report, [*document_rows(subject.sample, scores), *suite_rows, *sample_rows]


def _loaded(
    subject: Subject, precision: torch.dtype | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Encoder]:
    if subject.adapter is None:
        return *load_model(subject.model, precision), Encoder.load(subject.model)
    from loresmith.models.adapter_storage import load_adapted, tokenizer_of

    model, tokenizer = load_adapted(subject.model, subject.model_digest, subject.adapter, precision)
    return model, tokenizer, Encoder.load(tokenizer_of(subject.model, subject.adapter))


def _require_same_text(subject: Subject, baselines: BaselineReport) -> None:
    own, theirs = SampleFacts.of(subject.sample), baselines.sample
    if (baselines.corpus, theirs.digest) != (subject.corpus_digest, own.digest):
        raise UserError(
            f"the baselines were measured on other text ({theirs.documents} documents of the split {theirs.split!r}) "
            f"than this model ({own.documents} of {own.split!r})",
            where="baseline",
            hint="give both steps the same corpus, split, max_documents and max_bytes",
        )


def _window(model: PreTrainedModel, settings: EvaluateSettings) -> tuple[int, int]:
    """The window and the stride, in tokens."""
    positions = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or 0)
    window = settings.window or positions or WINDOW_WITHOUT_POSITIONS
    if positions and window > positions:
        raise UserError(f"a window of {window} tokens, and the model has {positions} positions", where="window")
    stride = settings.stride or max(1, window // 2)
    if stride > window:
        raise UserError(f"a stride of {stride} tokens leaves gaps between windows of {window}", where="stride")
    return window, stride


def _encoded(sample: Sample, encoder: Encoder, group_by: GroupBy) -> list[TokenDocument]:
    return [
        TokenDocument(
            key=document.id,
            group=group_of(document, group_by),
            ids=np.concatenate([[encoder.end_of_document], encoder.document(document.text)]),
            bytes=document.bytes,
        )
        for document in sample.documents
    ]


def _groups(scores: Sequence[DocumentScore], settings: EvaluateSettings) -> tuple[GroupScore, ...]:
    by_group: dict[str, list[DocumentScore]] = {}
    for score in scores:
        by_group.setdefault(score.group, []).append(score)
    groups = [
        GroupScore(
            group=group,
            documents=len(members),
            bytes=sum(score.bytes for score in members),
            tokens=sum(score.tokens for score in members),
            bits_per_byte=bits_per_byte(members),
            interval=bits_per_byte_interval(members, settings.resamples, settings.seed),
        )
        for group, members in by_group.items()
    ]
    return tuple(sorted(groups, key=lambda group: (-group.bytes, group.group)))


def _verdicts(
    scores: Sequence[DocumentScore], baselines: MeasuredBaselines | None, settings: EvaluateSettings
) -> tuple[Verdict, ...]:
    if baselines is None:
        return ()
    return tuple(
        hold_against(baseline, scores, baselines.nats.get(baseline.name), settings.resamples, settings.seed)
        for baseline in baselines.report.baselines
    )
