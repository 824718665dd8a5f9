"""What the report of `evaluate-restoration` says, as a program and as a person reads it.

cases.jsonl beside it has one line a gap, with what stood there, what the model wrote and what the baseline did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from loresmith.evaluation.facts import Facts
from loresmith.evaluation.intervals import Interval
from loresmith.evaluation.reports import SampleFacts
from loresmith.models.fill_in_the_middle import Order

SHOWN = 12
"""Gaps shown on the page."""

SIDE = 32
"""Characters of each side that are shown with one."""


class Restored(Facts):
    """How many gaps came out exactly right."""

    right: int = Field(description="Gaps restored to the character.")
    of: int = Field(description="Gaps.")
    interval: Interval | None = Field(description="Wilson's interval of the share that came out right.")

    @property
    def share(self) -> float:
        return self.right / self.of


class OfLength(Facts):
    """The gaps of one length."""

    length: int = Field(description="Characters knocked out.")
    model: Restored = Field(description="The model.")
    baseline: Restored = Field(description="The baseline.")


class RestorationReport(Facts):
    """report.json of the step `evaluate-restoration`."""

    kind: Literal["restoration"] = "restoration"
    format: Literal[1] = 1
    model: str = Field(description="Digest of the model.")
    corpus: str = Field(description="Digest of the corpus.")
    sample: SampleFacts = Field(description="The held-out text that was damaged.")
    training: SampleFacts = Field(description="The training text that the baseline counted.")
    parameters: int = Field(description="Weights of the model, shared ones counted once.")
    order: Order = Field(description="The order in which the model was shown the sides.")
    restored: Restored = Field(description="The model on all gaps.")
    baseline: Restored = Field(description="The baseline on the same gaps.")
    baseline_name: str = Field(description="What the baseline is, for a person.")
    baseline_beam: int = Field(description="Fillings of each length that its search kept.")
    longest: int = Field(description="Characters knocked out at most.")
    difference: float = Field(description="Share of the model minus that of the baseline: above zero is better.")
    interval: Interval | None = Field(
        description="Of the difference, gap by gap, over whole documents; none for too few of them."
    )
    only_model: int = Field(description="Gaps that only the model restored.")
    only_baseline: int = Field(description="Gaps that only the baseline restored.")
    p_value: float = Field(
        description="Exact McNemar test: how likely a division of those gaps as uneven as this is, or more, if both "
        "were as good."
    )
    verdict: Literal["above", "below", "undecided"] = Field(
        description="`above`: better than the baseline, and the interval leaves no doubt; `below`: worse; `undecided`: "
        "the interval reaches across zero, or there is none."
    )
    lengths: tuple[OfLength, ...] = Field(description="By the length of the gap.")
    seed: int = Field(description="Of the gaps and the bootstrap.")
    resamples: int = Field(description="Samples that the bootstrap drew.")


def restoration_text(report: RestorationReport, cases: Sequence[Mapping[str, Any]]) -> str:
    """report.md of the step `evaluate-restoration`; `cases` are the lines of cases.jsonl."""
    between = report.interval
    verdict = {
        "above": "That is **better** than the baseline, and not by chance.",
        "below": "The baseline is **not reached**.",
        "undecided": "These gaps **cannot tell** which of the two is better.",
    }[report.verdict]
    parts = [
        "# How well the model restores damaged text",
        f"The model restored **{report.restored.right} of {report.restored.of}** gaps to the character, "
        f"{_percent(report.restored)}; {report.baseline_name}, given both sides as well, {_percent(report.baseline)}.",
        f"The difference is {100 * report.difference:+.1f} points"
        + (f" (95 % interval {100 * between.low:+.1f} to {100 * between.high:+.1f})" if between else "")
        + f"; {report.only_model} gaps only the model restored, {report.only_baseline} only the baseline "
        f"(exact McNemar p = {report.p_value:.2g}). {verdict}",
        "## By length",
        _table(
            ("characters knocked out", "gaps", "model", "baseline"),
            [
                (str(each.length), str(each.model.of), _percent(each.model), _percent(each.baseline))
                for each in report.lengths
            ],
        ),
        "## Some of them",
        _table(
            ("text, with what stood there", "model", "baseline"),
            [
                (
                    f"{_code(case['before'][-SIDE:])} **{_code(case['missing'])}** {_code(case['after'][:SIDE])}",
                    "right" if case["right"] else _code(case["output"]),
                    "right" if case["baseline_right"] else _code(case["baseline_output"]),
                )
                for case in _spread(cases)
            ],
        ),
        "## How it was measured",
        f"- Text: {report.sample.documents} of {report.sample.of_documents} documents of the split "
        f"`{report.sample.split}`. In each, gaps were drawn of 1 to {report.longest} characters, every length as "
        "likely, each within one line and not all white space; one gap at a time, with all else intact. Neither is "
        "told how long a gap is, and both know that it is not empty.\n"
        f"- Model: {report.parameters:,} parameters, asked in the order {report.order.upper()}, the likeliest token "
        "each time, until it ends the middle.\n"
        f"- Baseline: {report.baseline_name} (interpolated modified Kneser-Ney, counted on {report.training.bytes:,} "
        "bytes of training text). Of all fillings of 1 to "
        f"{report.longest} characters without a line end, the one with the greatest probability given both sides, by a "
        f"beam of {report.baseline_beam}.\n"
        f"- Intervals: 95 %; of the difference, from {report.resamples:,} samples of whole documents with replacement "
        f"(seed {report.seed}).",
    ]
    return "\n\n".join(parts) + "\n"


def _spread(cases: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Some cases, evenly from all of them."""
    return cases[:: max(1, len(cases) // SHOWN)][:SHOWN]


def _percent(restored: Restored) -> str:
    between = restored.interval
    doubt = f" ({100 * between.low:.0f} to {100 * between.high:.0f})" if between else ""
    return f"{100 * restored.share:.1f} %{doubt}"


def _code(text: str) -> str:
    """Text as a cell of a table shows it, white space and all."""
    shown = text.replace("\n", "⏎").replace("\t", "⇥").replace("|", "\\|").replace("`", "'")
    return f"`{shown}`" if shown else "(nothing)"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
