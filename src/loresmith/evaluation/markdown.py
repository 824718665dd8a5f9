"""Reports as a person reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loresmith.evaluation.intervals import Interval
from loresmith.evaluation.reports import (
    BaselineReport,
    CleanScore,
    EvaluationReport,
    GroupScore,
    SampleFacts,
    SamplesScore,
    SuiteScore,
    Verdict,
)

GROUPS_SHOWN = 12
SAMPLES_SHOWN = 6
FAILURES_SHOWN = 10
PROMPT_LINES_SHOWN = 12


def baseline_text(report: BaselineReport) -> str:
    """report.md of the step `baseline`."""
    rows = [
        (baseline.title, f"{baseline.bits_per_byte:.3f}", _interval(baseline.interval)) for baseline in report.baselines
    ]
    return _page(
        "# What the model has to beat",
        "Bits per byte says how many bits are needed, on average, for one byte of text that nobody has shown the "
        "method before. Plain text takes 8; lower is better.",
        _table(("baseline", "bits per byte", "95 % interval"), rows),
        "## How it was measured",
        f"Held-out text: {_sample(report.sample)}. Training text: {_sample(report.training)}.",
        "\n".join(f"- **{baseline.title}.** {baseline.how}" for baseline in report.baselines),
    )


def evaluation_text(report: EvaluationReport, cases: Sequence[Mapping[str, Any]]) -> str:
    """report.md of the step `evaluate`; `cases` are the lines of cases.jsonl."""
    return _page(
        "# How good the model is",
        f"The model needs **{report.bits_per_byte:.3f} bits per byte** for text that it was not trained on"
        f"{_between(report.interval)}. Plain text takes 8; lower is better.",
        *_verdicts(report.verdicts),
        *_groups(report),
        *_suite(report.suite, [case for case in cases if case["kind"] == "case"]),
        *_samples(report.samples, [case for case in cases if case["kind"] == "sample"]),
        "## How it was measured",
        f"- Text: {_sample(report.sample)}. Every byte counts, and every token is predicted once, the end of each "
        f"document included: {_count(report.tokens)} tokens.\n"
        f"- Model{' with an adapter' if report.adapter else ''}: {_count(report.parameters)} parameters, computed in "
        f"{report.precision}. It starts each document afresh and sees at most {_count(report.window)} tokens; a longer "
        f"one is read in overlapping windows that advance by {_count(report.stride)}, so that every later token has "
        f"at least {_count(report.window - report.stride + 1)} before it.\n"
        f"- Intervals: 95 %, from {_count(report.resamples)} samples of whole documents with replacement (seed "
        f"{report.seed}). They say how far the number may move with other documents of the same kind, and nothing "
        "about text of another kind.",
    )


def _verdicts(verdicts: Sequence[Verdict]) -> list[str]:
    if not verdicts:
        return []
    rows = [
        (
            verdict.baseline.title,
            f"{verdict.baseline.bits_per_byte:.3f}",
            f"{abs(verdict.difference):.3f} {'below' if verdict.difference < 0 else 'above'}",
            _interval(verdict.interval, signed=True),
            _VERDICT[verdict.verdict],
        )
        for verdict in verdicts
    ]
    heads = ("baseline", "its bits per byte", "the model is", "95 % interval of the difference", "verdict")
    return ["## Against the baselines", _table(heads, rows)]


_VERDICT = {
    "below": "**better**",
    "above": "**not reached**",
    "undecided": "**cannot tell** with this many documents",
}


def _groups(report: EvaluationReport) -> list[str]:
    if report.group_by == "none" or not report.groups:
        return []

    def row(group: GroupScore) -> tuple[str, ...]:
        return (
            f"`{group.group}`",
            _count(group.documents),
            _count(group.bytes),
            f"{group.bits_per_byte:.3f}",
            _interval(group.interval),
        )

    shown, rest = report.groups[:GROUPS_SHOWN], report.groups[GROUPS_SHOWN:]
    heads = (report.group_by, "documents", "bytes", "bits per byte", "95 % interval")
    parts = [f"## By {report.group_by}", _table(heads, map(row, shown))]
    if rest:
        parts.append(f"The {len(rest)} smaller ones are in report.json.")
    return parts


def _suite(suite: SuiteScore | None, cases: Sequence[Mapping[str, Any]]) -> list[str]:
    if suite is None:
        return []
    share = suite.interval
    doubt = f" (95 % interval of the share: {100 * share.low:.0f} to {100 * share.high:.0f} %)" if share else ""
    parts = [
        f"## Suite: {_line(suite.name)}",
        *([suite.description] if suite.description else []),
        f"**{suite.passed} of {suite.cases}** cases came out right{doubt}.",
        *_without_contaminated(suite.clean),
    ]
    failures = [case for case in cases if not case["passed"]]
    for case in failures[:FAILURES_SHOWN]:
        parts += [
            f"`{case['name']}` should have given ({case['scorer']}) `{_line(case['expected'])}` and gave:",
            _fenced(case["output"]),
        ]
    if len(failures) > FAILURES_SHOWN:
        parts.append(f"The other {len(failures) - FAILURES_SHOWN} are in cases.jsonl.")
    return parts


def _without_contaminated(clean: CleanScore | None) -> list[str]:
    if clean is None:
        return []
    unsure = f" Of {clean.not_judged} it cannot be told: they are too short, or ordinary wording." * bool(
        clean.not_judged
    )
    if not clean.contaminated:
        return [f"None of the cases is in the corpus's training text.{unsure}"]
    named = ", ".join(f"`{_line(name)}`" for name in clean.contaminated[:FAILURES_SHOWN])
    more = len(clean.contaminated) - FAILURES_SHOWN
    return [
        f"{len(clean.contaminated)} of the cases are in the corpus's training text: {named}"
        f"{f' and {more} more' if more > 0 else ''}. Without them **{clean.passed} of {clean.cases}** came out "
        f"right.{unsure}"
    ]


def _samples(samples: SamplesScore, cases: Sequence[Mapping[str, Any]]) -> list[str]:
    if not samples.count:
        return []
    said = f"The model went on from {samples.count} places in held-out documents, drawn by hash and not picked."
    if samples.functions:
        said += f" {samples.parsed} of {samples.functions} function bodies are Python that parses."
    parts = ["## In its own words", said]
    for case in cases[:SAMPLES_SHOWN]:
        language = "python" if case["parses"] is not None else ""
        prompt = "\n".join(case["prompt"].splitlines()[-PROMPT_LINES_SHOWN:])
        parts += [
            f"### `{_line(case['name'])}` in `{_line(case['path'])}`",
            "Given (its last lines):",
            _fenced(prompt, language),
            "the model wrote:",
            _fenced(case["completion"], language),
            "and the file says:",
            _fenced(case["reference"], language),
        ]
    if len(cases) > SAMPLES_SHOWN:
        parts.append(f"The other {len(cases) - SAMPLES_SHOWN} are in cases.jsonl.")
    return parts


def _sample(sample: SampleFacts) -> str:
    whole = sample.documents == sample.of_documents
    documents = "all" if whole else f"{_count(sample.documents)} of"
    return (
        f"{documents} {_count(sample.of_documents)} documents of the {sample.split} split"
        f"{'' if whole else ', chosen by hash'} ({_count(sample.bytes)} bytes)"
    )


def _between(interval: Interval | None) -> str:
    return f" (95 % interval {interval.low:.3f} to {interval.high:.3f})" if interval else ""


def _interval(interval: Interval | None, *, signed: bool = False) -> str:
    if interval is None:
        return "–"
    return f"{interval.low:+.3f} to {interval.high:+.3f}" if signed else f"{interval.low:.3f} to {interval.high:.3f}"


def _count(number: int) -> str:
    return f"{number:,}"


def _line(text: str) -> str:
    """Text that may stand in one line of Markdown, between backticks."""
    flat = " ".join(text.split()).replace("`", "'")
    return flat if len(flat) <= 100 else f"{flat[:97]}..."


def _fenced(text: str, language: str = "") -> str:
    """A block of code; the fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip(chr(10))}\n{fence}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _page(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"
