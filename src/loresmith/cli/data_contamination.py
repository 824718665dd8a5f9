"""`loresmith data contamination`, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loresmith.cli.command import command
from loresmith.cli.live import live_run
from loresmith.cli.screen import Screen, short, visible
from loresmith.sdk.calls.data_contamination import (
    DATA_CONTAMINATION,
    DataContaminationAnswer,
    DataContaminationRequest,
)

if TYPE_CHECKING:
    from loresmith.evaluation.contamination_report import SuiteContamination

_SHOWN = 20
"""Cases of a suite that are named; the report has all."""


def _show(answer: DataContaminationAnswer, _request: DataContaminationRequest, screen: Screen) -> None:
    rows = [
        (
            short(corpus.corpus),
            visible(f"{suite.name} ({short(suite.suite)})"),
            f"{suite.cases:,}",
            f"{suite.cases - suite.judged:,}",
            f"{suite.exact:,}",
            f"{suite.near:,}",
            f"{suite.documents:,}",
        )
        for corpus in answer.corpora
        for suite in corpus.suites
    ]
    columns = ("corpus", "suite", "cases", "not judged", "word for word", "in other words", "documents")
    screen.table(columns, rows, right=columns[2:])
    for corpus in answer.corpora:
        if corpus.unread is not None:
            screen.line(f"corpus {short(corpus.corpus)} was not looked at: {corpus.unread}")
        for suite in corpus.suites:
            if suite.found:
                screen.line()
                screen.line(f"cases of {visible(suite.name)} in corpus {short(corpus.corpus)}", style="bold")
                _cases(suite, screen)
    screen.line()
    screen.line(f"every case and every place: report {short(answer.report)}")


def _cases(suite: SuiteContamination, screen: Screen) -> None:
    for case in suite.found[:_SHOWN]:
        how = "word for word" if case.kind == "exact" else "in other words"
        documents = f"{case.documents:,} document{'s' if case.documents != 1 else ''}"
        screen.line(f"  {visible(case.case)}: {case.score:.0%} of it {how}, in {documents}")
    if len(suite.found) > _SHOWN:
        screen.line(f"  and {len(suite.found) - _SHOWN:,} more")


CONTAMINATION = command(DATA_CONTAMINATION, _show, live=live_run)
