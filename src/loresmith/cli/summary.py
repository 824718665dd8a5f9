"""`loresmith summary`, for people: one page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from loresmith.cli.command import command
from loresmith.cli.mixtures import show_sources
from loresmith.cli.screen import Screen, duration, number, short, size
from loresmith.evaluation.reports import EvaluationReport
from loresmith.ledger.books import Account
from loresmith.sdk.calls.summary import SUMMARY, SummaryRequest
from loresmith.sdk.summary import CurvePoint, SampleSummary, Summary

_CURVE_COLUMNS = 48
_CURVE_ROWS = 6
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_LINES_OF_SAMPLE = 8


def _show(answer: Summary, _request: SummaryRequest, screen: Screen) -> None:
    done_here = sum(step.seconds for step in answer.steps if step.here)
    found = sum(not step.here for step in answer.steps)
    screen.line(f"{answer.recipe}: {answer.status}", style="bold")
    screen.line(f"run {answer.run}; {duration(done_here)} of work, {found} of {len(answer.steps)} steps found done")
    _books(answer, screen)
    for mixture in answer.mixtures:
        _title(f"What {mixture.name} is made of, by bytes of text", screen)
        show_sources(mixture.sources, screen)
    if answer.curve:
        _title("How it learnt: bits per byte of held-out text, over tokens trained on", screen)
        _curve(answer.curve, screen)
    if answer.evaluation is not None:
        _title("How good it is: bits per byte of held-out text, lower is better", screen)
        _scores(answer.evaluation, screen)
    if answer.samples:
        _title("What it writes: given the lines with |, from a held-out document, it went on with those with >", screen)
        for sample in answer.samples:
            _sample(sample, screen)
    _title("Where everything lies", screen)
    _places(answer, screen)
    _title("What to type next", screen)
    _next(answer, screen)


def _title(text: str, screen: Screen) -> None:
    screen.line()
    screen.line(text, style="bold")


def _books(answer: Summary, screen: Screen) -> None:
    _title("What went in and what came out", screen)
    rows = []
    for step in answer.steps:
        name = step.name
        when = duration(step.seconds) + ("" if step.here else " (before)")
        for account in step.accounts:
            rows.append((name, when, f"{account.entered:,} {account.unit}", f"{account.kept:,}", _rest(account)))
            name = when = ""
        if not step.accounts:
            rows.append((name, when, "", "", ""))
    screen.table(("step", "time", "entered", "kept", "otherwise"), rows, right=("time", "entered", "kept"))


def _rest(account: Account) -> str:
    left = [entry for entry in account.left if entry.disposition != "kept" and entry.count]
    return ", ".join(f"{entry.count:,} {entry.disposition}: {entry.reason}" for entry in left)


def _curve(points: Sequence[CurvePoint], screen: Screen) -> None:
    """A bar for each measurement, from the lowest to the highest value."""
    shown = points
    if len(points) > _CURVE_COLUMNS:
        last = len(points) - 1
        shown = [points[round(column * last / (_CURVE_COLUMNS - 1))] for column in range(_CURVE_COLUMNS)]
    low, high = min(point.value for point in shown), max(point.value for point in shown)
    span = (high - low) or 1.0
    heights = [round((1 + (point.value - low) / span * (_CURVE_ROWS - 1)) * 8) for point in shown]
    for row in range(_CURVE_ROWS - 1, -1, -1):
        bars = "".join(_EIGHTHS[max(0, min(8, height - row * 8))] for height in heights)
        label = {_CURVE_ROWS - 1: f"{high:.3f}", 0: f"{low:.3f}"}.get(row, "")
        screen.line(f"  {label:>6} {bars}")
    first, final = shown[0], shown[-1]
    width = len(shown)
    start = number(first.position)
    end = number(final.position)
    ends = f"{start}{end:>{max(len(end) + 3, width - len(start))}}" if width > 1 else start
    screen.line(f"         {ends} tokens; {first.value:.3f} at first, {final.value:.3f} at the end")


def _scores(report: EvaluationReport, screen: Screen) -> None:
    rows = []
    for verdict in report.verdicts:
        by = abs(verdict.difference)
        how = {
            "below": f"the model is {by:.3f} better",
            "above": f"the model is {by:.3f} worse: not reached",
            "undecided": f"the model is {by:.3f} {'better' if verdict.difference < 0 else 'worse'}: cannot tell yet",
        }[verdict.verdict]
        rows.append((f"{verdict.baseline.bits_per_byte:.3f}", verdict.baseline.title, how))
    interval = report.interval
    sure = f"95 % interval {interval.low:.3f} to {interval.high:.3f}" if interval is not None else ""
    rows.append((f"{report.bits_per_byte:.3f}", f"the model ({number(report.parameters)} parameters)", sure))
    rows.sort(key=lambda row: -float(row[0]))
    screen.table(("bits per byte", "", ""), rows, right=("bits per byte",))
    sample = report.sample
    screen.line(f"  on {sample.documents:,} documents, {size(sample.bytes)}, of the {sample.split} split")
    if report.suite is not None:
        screen.line(f"  suite {report.suite.name}: {report.suite.passed} of {report.suite.cases} cases right")
        clean = report.suite.clean
        if clean is not None and clean.contaminated:
            said = f"{len(clean.contaminated)} are in the training text; without them {clean.passed} of {clean.cases}"
            screen.line(f"    {said}")


def _sample(sample: SampleSummary, screen: Screen) -> None:
    given = sample.prompt.rstrip().splitlines()[-_LINES_OF_SAMPLE:]
    written = sample.completion.rstrip().splitlines()[:_LINES_OF_SAMPLE]
    screen.line(f"  {sample.name}", style="italic")
    for line in given:
        screen.line(f"  | {line}", style="dim")
    for line in written or ["(nothing)"]:
        screen.line(f"  > {line}")
    screen.line()


def _places(answer: Summary, screen: Screen) -> None:
    places = [("workspace", str(answer.workspace)), ("logs and events", str(answer.folder))]
    if answer.model is not None:
        places.append(("model, for transformers", str(answer.model)))
    if answer.release is not None:
        places.append((f"release {answer.release.name}@{answer.release.channel}", short(answer.release.asset)))
    screen.facts(places)


def _next(answer: Summary, screen: Screen) -> None:
    where = f" --workspace {answer.workspace}"
    if answer.status != "completed":
        screen.line(f"  loresmith run --resume {answer.run}{where}")
        return
    if answer.release is not None:
        name = answer.release.name
        screen.line(f"  loresmith complete {name} {shlex.quote(_beginning(answer.samples))}{where}")
        screen.line(f"  loresmith lineage {name}{where}")
        screen.line(f"  loresmith assets export {name} my-model{where}")
    screen.line(f"  loresmith ledger verify{where}")


def _beginning(samples: Sequence[SampleSummary]) -> str:
    """Something of the model's own kind of text to try it with."""
    lines = [line.strip() for sample in samples for line in sample.prompt.splitlines()]
    return next((line[:40] for line in lines if len(line) >= 12), "Once upon a time")


COMMANDS = {"summary": command(SUMMARY, _show)}
