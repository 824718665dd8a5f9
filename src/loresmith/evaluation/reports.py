"""What the reports of `baseline` and `evaluate` say: report.json is one of these models.

cases.jsonl beside it has one line for each thing that was measured, told apart by `kind`: `document` (a held-out
document's score), `case` (a suite's case) and `sample` (a completion for a person to look at).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from loresmith.errors import UserError
from loresmith.evaluation.facts import Facts
from loresmith.evaluation.held_out import GroupBy, Sample, Split
from loresmith.evaluation.intervals import Interval
from loresmith.evaluation.scores import DocumentScore

REPORT_FILE, TEXT_FILE, CASES_FILE = "report.json", "report.md", "cases.jsonl"

Rows = list[dict[str, Any]]
"""Lines of cases.jsonl."""


class SampleFacts(Facts):
    """Which text was measured."""

    split: Split = Field(description="The split of the corpus.")
    documents: int = Field(description="Documents measured.")
    bytes: int = Field(description="UTF-8 bytes measured.")
    of_documents: int = Field(description="Documents in the split.")
    of_bytes: int = Field(description="UTF-8 bytes in the split.")
    not_allowed_documents: int = Field(default=0, description="Documents of the split that may not be used so.")
    not_allowed_bytes: int = Field(default=0, description="UTF-8 bytes of these.")
    digest: str = Field(description="sha256 over the sorted ids of the documents: the same digest, the same text.")

    @classmethod
    def of(cls, sample: Sample) -> SampleFacts:
        return cls(
            split=sample.split,
            documents=len(sample.documents),
            bytes=sample.bytes,
            of_documents=sample.of_documents,
            of_bytes=sample.of_bytes,
            not_allowed_documents=sample.not_allowed_documents,
            not_allowed_bytes=sample.not_allowed_bytes,
            digest=sample.digest,
        )


class Baseline(Facts):
    """One number to beat."""

    name: str = Field(description="A short name that stays: `xz`, `xz-with-training`, `5-gram`.")
    title: str = Field(description="What it is, for a person.")
    bits_per_byte: float = Field(description="Bits for each byte of the sample.")
    interval: Interval | None = Field(description="Over documents; none where only the whole text has a size.")
    how: str = Field(description="How it was measured, so that anyone can do it again.")


class BaselineReport(Facts):
    """report.json of the step `baseline`."""

    kind: Literal["baseline"] = "baseline"
    format: Literal[1] = 1
    corpus: str = Field(description="Digest of the corpus.")
    tokenizer: str = Field(description="Digest of the tokenizer that the n-gram model counts tokens of.")
    sample: SampleFacts = Field(description="The held-out text.")
    training: SampleFacts = Field(description="The training text that the baselines were given.")
    baselines: tuple[Baseline, ...] = Field(description="The numbers, the easiest to beat first.")


class GroupScore(Facts):
    """Bits per byte of one group of documents."""

    group: str = Field(description="The group's name.")
    documents: int = Field(description="Documents measured.")
    bytes: int = Field(description="UTF-8 bytes measured.")
    tokens: int = Field(description="Tokens predicted.")
    bits_per_byte: float = Field(description="The ratio of sums over its documents.")
    interval: Interval | None = Field(description="Bootstrap over documents; none for too few of them.")


class Verdict(Facts):
    """The model held against one baseline on the same documents."""

    baseline: Baseline = Field(description="What it is held against.")
    difference: float = Field(description="Model minus baseline, in bits per byte: below zero is better.")
    interval: Interval | None = Field(description="Of the difference, over documents; none for too few of them.")
    paired: bool = Field(description="Whether the difference was taken document by document.")
    verdict: Literal["below", "above", "undecided"] = Field(
        description="`below`: better than the baseline, and the interval leaves no doubt; `above`: worse; `undecided`: "
        "the interval reaches across zero, or there is none."
    )


class CleanScore(Facts):
    """What is left of a suite's score without the cases that the training text holds."""

    contaminated: tuple[str, ...] = Field(description="Names of the cases that it holds.")
    not_judged: int = Field(
        description="Cases that are too short to tell, or whose words many documents or many cases have; they stay."
    )
    cases: int = Field(description="How many cases are left.")
    passed: int = Field(description="How many of them came out right.")
    interval: Interval | None = Field(description="Wilson's interval of the share that come out right.")


class SuiteScore(Facts):
    """How many cases of the suite came out right."""

    name: str = Field(description="The suite's name.")
    description: str = Field(description="What it is meant to show.")
    cases: int = Field(description="How many cases it has.")
    passed: int = Field(description="How many came out right.")
    interval: Interval | None = Field(description="Wilson's interval of the share that come out right.")
    failed: tuple[str, ...] = Field(description="Names of the cases that did not.")
    clean: CleanScore | None = Field(
        default=None, description="The same without contaminated cases; none where the training text was not looked at."
    )


class SamplesScore(Facts):
    """Completions for a person to look at; what can be counted about them is."""

    count: int = Field(description="How many were made.")
    functions: int = Field(description="How many of them are bodies of Python functions.")
    parsed: int = Field(description="How many of those parse as Python together with their signature.")


class EvaluationReport(Facts):
    """report.json of the step `evaluate`."""

    kind: Literal["evaluation"] = "evaluation"
    format: Literal[1] = 1
    model: str = Field(description="Digest of the model, or of the adapter's base.")
    adapter: str | None = Field(default=None, description="Digest of the adapter that was measured on it, if any.")
    corpus: str = Field(description="Digest of the corpus.")
    sample: SampleFacts = Field(description="The held-out text.")
    bits_per_byte: float = Field(description="The ratio of sums over all documents of the sample.")
    interval: Interval | None = Field(description="Bootstrap over documents.")
    tokens: int = Field(description="Tokens predicted.")
    parameters: int = Field(description="Weights of the model, shared ones counted once.")
    window: int = Field(description="Tokens of context at most.")
    stride: int = Field(description="Tokens by which windows over a long document advance.")
    precision: str = Field(description="Numbers that the forward pass was computed in.")
    seed: int = Field(description="Of the bootstrap.")
    resamples: int = Field(description="Samples that the bootstrap drew.")
    group_by: GroupBy = Field(description="What the groups are.")
    groups: tuple[GroupScore, ...] = Field(description="The largest first.")
    verdicts: tuple[Verdict, ...] = Field(description="One a baseline.")
    suite: SuiteScore | None = Field(description="None where no suite was given.")
    samples: SamplesScore = Field(description="Completions of held-out text.")


def write_report(directory: Path, report: Facts, text: str, cases: Iterable[Mapping[str, Any]]) -> None:
    """Write report.json, report.md and cases.jsonl."""
    (directory / REPORT_FILE).write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (directory / TEXT_FILE).write_text(text, encoding="utf-8")
    with (directory / CASES_FILE).open("w", encoding="utf-8") as lines:
        for case in cases:
            lines.write(json.dumps(case, ensure_ascii=False, allow_nan=False) + "\n")


@dataclass(frozen=True)
class MeasuredBaselines:
    """A `baseline` report as it is read back: `nats` by baseline and document id, where a baseline has them."""

    report: BaselineReport
    nats: Mapping[str, Mapping[str, float]]


def read_baselines(directory: Path) -> MeasuredBaselines:
    """The report of a step `baseline`.

    Raises:
        UserError: it is a report of another kind.
    """
    path = directory / REPORT_FILE
    if not path.is_file():
        raise UserError(f"this is not a report: it has no {REPORT_FILE}", where=str(directory))
    try:
        report = BaselineReport.model_validate_json(path.read_bytes())
    except ValidationError:
        raise UserError(
            "this report is not one of the step `baseline`", where=str(path), hint="wire `baseline` to such a step"
        ) from None
    nats: dict[str, dict[str, float]] = {}
    with (directory / CASES_FILE).open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            nats.setdefault(row["baseline"], {})[row["id"]] = row["nats"]
    return MeasuredBaselines(report, nats)


def document_rows(sample: Sample, scores: Sequence[DocumentScore], **more: str) -> Rows:
    """Rows of cases.jsonl for the documents of a sample, in its order."""
    return [
        {
            "kind": "document",
            "id": document.id,
            "path": document.path,
            "group": score.group,
            "bytes": score.bytes,
            "tokens": score.tokens,
            "nats": score.nats,
            **more,
        }
        for document, score in zip(sample.documents, scores, strict=True)
    ]
