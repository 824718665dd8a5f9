"""The report of a check: which cases of which suites are in which corpora."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from loresmith.evaluation.facts import Facts

if TYPE_CHECKING:
    from loresmith.data.contamination.findings import SuiteFound

_LISTED = 100
"""Cases that a receipt names; the report has all."""

_SHOWN = 20
"""Cases of a suite that the page for people names."""


class CaseContamination(Facts):
    """A case that a corpus holds."""

    case: str = Field(description="The case's name in its suite.")
    kind: Literal["exact", "near"] = Field(description="`exact`: the same words in a row; `near`: in other wording.")
    score: float = Field(description="The largest share of the case in one place, from 0 to 1.")
    documents: int = Field(description="How many documents hold it.")


class SuiteContamination(Facts):
    """What a corpus holds of a suite."""

    suite: str = Field(description="Digest of the suite.")
    name: str = Field(description="What the suite is called.")
    cases: int = Field(description="How many cases it has.")
    judged: int = Field(description="How many of them could be found if they were there.")
    too_short: int = Field(description="How many are too short to be told from other text.")
    shared_wording: int = Field(description="How many have no words but those that many cases of the suite share.")
    ordinary_wording: int = Field(
        default=0, description="How many have a few words, which more than 10 documents hold: ordinary wording."
    )
    exact: int = Field(description="Cases that the corpus holds word for word.")
    near: int = Field(description="Cases that it holds only in other wording.")
    documents: int = Field(description="Documents that hold any of them.")
    found: tuple[CaseContamination, ...] = Field(description="Those cases, by name.")

    @classmethod
    def of(cls, suite: str, name: str, found: SuiteFound) -> SuiteContamination:
        listed = tuple(
            CaseContamination(
                case=case, kind="exact" if one.kind == "exact" else "near", score=one.score, documents=one.documents
            )
            for case, one in sorted(found.found.items())
        )
        return cls(suite=suite, name=name, found=listed, **found.facts())

    @property
    def contaminated(self) -> int:
        return self.exact + self.near


class CorpusContamination(Facts):
    """What a corpus holds of all suites."""

    corpus: str = Field(description="Digest of the corpus.")
    unread: str | None = Field(default=None, description="Why it could not be looked at; none where it was.")
    suites: tuple[SuiteContamination, ...] = Field(default=(), description="By digest.")


class ContaminationReport(Facts):
    """report.json of the step `contamination`."""

    kind: Literal["contamination"] = "contamination"
    format: Literal[1] = 1
    tokens: int = Field(description="Words in a run that gives a case away.")
    shortest: int = Field(description="Words that a case must have to be judged.")
    similarity: float | None = Field(description="The share of short runs that gives a case away in other wording.")
    corpora: tuple[CorpusContamination, ...] = Field(description="By digest.")


def suite_evidence(report: ContaminationReport, suite: str) -> dict[str, Any]:
    """What a receipt on a suite says."""
    pairs = [(corpus.corpus, one) for corpus in report.corpora for one in corpus.suites if one.suite == suite]
    names = sorted({case.case for _, one in pairs for case in one.found})
    return {
        **_rule(report),
        "corpora": {corpus: _numbers(one) for corpus, one in pairs},
        "unread": sorted(corpus.corpus for corpus in report.corpora if corpus.unread is not None),
        "cases": names[:_LISTED],
        "more_cases": max(0, len(names) - _LISTED),
    }


def corpus_evidence(report: ContaminationReport, corpus: CorpusContamination) -> dict[str, Any]:
    """What a receipt on a corpus says."""
    return {**_rule(report), "suites": {one.suite: _numbers(one) for one in corpus.suites}}


def _rule(report: ContaminationReport) -> dict[str, Any]:
    return {"tokens": report.tokens, "shortest": report.shortest, "similarity": report.similarity}


def _numbers(one: SuiteContamination) -> dict[str, Any]:
    return one.model_dump(include={"cases", "judged", "exact", "near", "documents"})


def contamination_text(report: ContaminationReport) -> str:
    """The page for people."""
    from loresmith.data.contamination.case_index import UNMISTAKABLE
    from loresmith.data.contamination.findings import MOST_DOCUMENTS

    near = f"{report.similarity:.0%} of its runs of five words together" if report.similarity is not None else "no"
    lines = [
        "# Contamination",
        "",
        f"A case is found by {report.tokens} words in a row, or by all of a case of {report.shortest} words or more "
        f"(of fewer than {UNMISTAKABLE}, with its answer, if at most {MOST_DOCUMENTS} documents hold it); "
        f"in other wording by {near}. Only training text is looked at.",
    ]
    for corpus in report.corpora:
        lines += ["", f"## Corpus {corpus.corpus[:12]}", ""]
        if corpus.unread is not None:
            lines.append(f"Not looked at: {corpus.unread}")
            continue
        lines += _table(corpus.suites)
        for suite in corpus.suites:
            if suite.found:
                lines += ["", f"{suite.name}: {_cases(suite)}"]
    return "\n".join(lines) + "\n"


def _table(suites: Sequence[SuiteContamination]) -> list[str]:
    return [
        "| suite | cases | not judged | exact | in other wording | documents |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {one.name} ({one.suite[:12]}) | {one.cases} | {one.cases - one.judged} | {one.exact} | {one.near} "
            f"| {one.documents} |"
            for one in suites
        ),
    ]


def _cases(suite: SuiteContamination) -> str:
    named = [
        f"{case.case} ({'' if case.kind == 'exact' else 'in other wording, '}{case.score:.0%})"
        for case in suite.found[:_SHOWN]
    ]
    more = len(suite.found) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def suite_metadata(found: Mapping[str, SuiteFound]) -> dict[str, Any]:
    """What a corpus says of the suites that it was held against, by digest."""
    return {suite: one.facts() for suite, one in sorted(found.items())}
