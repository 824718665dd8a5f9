"""`loresmith books` and `loresmith trace`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.data_show import place_said
from loresmith.cli.groups import noun
from loresmith.cli.screen import Screen, short, visible
from loresmith.sdk.calls.books import BOOKS, TRACE, BooksAnswer, BooksRequest, TraceAnswer, TraceRequest
from loresmith.sdk.tracing import Lesson, Trace


def _show_books(answer: BooksAnswer, _request: BooksRequest, screen: Screen) -> None:
    screen.line(f"books of run {answer.run}")
    for step in answer.steps:
        screen.line()
        table = f", line by line in {short(step.table)}" if step.table else ""
        screen.line(f"{step.name} ({step.step}){table}", style="bold")
        rows = []
        for account in step.accounts:
            rows.append((account.unit, "entered", "", f"{account.entered:,}", ""))
            for entry in account.left:
                share = f"{entry.count / account.entered:.1%}" if account.entered else ""
                rows.append(("", entry.disposition, entry.reason, f"{entry.count:,}", share))
        screen.table(("unit", "what", "why", "count", "share"), rows, right=("count", "share"))


def _show_trace(answer: TraceAnswer, _request: TraceRequest, screen: Screen) -> None:
    trace = answer.trace
    screen.line(f"document {trace.document} ({trace.path})")
    for fate in trace.fates:
        whose = f", its duplicate {short(fate.document)}" if fate.document != trace.document else ""
        why = f": {fate.reason}" if fate.reason else ""
        detail = f" ({fate.detail})" if fate.detail else ""
        split = f", in the {fate.split} split" if fate.split else ""
        screen.line(f"  {fate.kind} {short(fate.asset)}{whose}: {fate.disposition}{why}{detail}{split}")
    for span in answer.spans:
        screen.line(
            f"in {span.kind} {short(span.asset)} it comes from {visible(span.place.path)}, {place_said(span.place)}"
        )
        for line in visible(span.text).splitlines():
            screen.line(f"  | {line}")
    if trace.lessons:
        screen.line()
        screen.table(
            ("training", "run", "source", "what", "why", "tokens", "again"),
            (
                (x.step, x.run, _source(x, trace), x.disposition, x.reason, f"{x.tokens:,}", f"{x.again:,}")
                for x in trace.lessons
            ),
            right=("tokens", "again"),
        )
    screen.line()
    for witness in trace.seen_by:
        how = "its own training" if witness.directly else "what it was made from"
        under = f", by its duplicate {' and '.join(witness.by_duplicates)}" if witness.by_duplicates else ""
        released = f", {', '.join(witness.releases)}" if witness.releases else ""
        screen.line(f"seen by {witness.kind} {short(witness.asset)}, in {how}{under}{released}")
    if not trace.seen_by:
        screen.line("no model is known to have seen it" if trace.unknown else "no model saw it")
    for each in trace.unknown:
        bases = " and ".join(map(short, each.bases))
        which = "it" if each.bases == (each.asset,) else f"it was made from {bases}, which"
        screen.line(f"not known of {each.kind} {short(each.asset)}: {which} was trained elsewhere")
    screen.line(f"{trace.not_seen_by} other models and adapters did not see it")


def _source(lesson: Lesson, trace: Trace) -> str:
    """The source of a lesson, and under which other id the document was in it, if it was."""
    return lesson.source if lesson.document == trace.document else f"{lesson.source}, as {short(lesson.document)}"


COMMANDS = {
    "books": command(BOOKS, _show_books),
    "trace": noun("trace", "Follow something through all runs.", command(TRACE, _show_trace)),
}
