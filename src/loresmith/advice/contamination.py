"""Whether evaluation can be trusted: was the corpus held against the suites that models are measured on, and what was
found?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from loresmith.advice.part import Part
from loresmith.errors import UserError

METADATA = "contamination"
"""The key under which `decontaminate` says in a corpus's metadata what it looked for."""


class Overlap(Part):
    """What the corpus holds of one suite."""

    suite: str = Field(description="The suite: its name, or its digest.")
    cases: int = Field(description="How many cases the suite has.")
    found: int = Field(description="How many of them the text to learn from holds.")


class Contamination(Part):
    """What is known of overlaps with evaluation suites."""

    checked: bool = Field(description="Whether the corpus was compared with evaluation suites.")
    cut: bool = Field(description="Whether what was found was cut out when the corpus was made.")
    cases: int = Field(description="Cases that are still in the text.")
    overlaps: tuple[Overlap, ...] = Field(description="By suite.")
    sentence: str = Field(description="The same in words.")


def contamination(corpus: str, metadata: Mapping[str, Any], checked: Sequence[Path]) -> Contamination:
    """What is known of a corpus.

    Args:
        corpus: its digest.
        metadata: of it.
        checked: the reports of the step `contamination`: of a suite that several looked for, the first of them counts.

    Raises:
        UserError: one of the reports is another one.
    """
    by_suite: dict[str, Overlap] = {}
    for report in reversed(checked):
        by_suite |= _reported(corpus, report)
    if by_suite:
        overlaps = tuple(overlap for _, overlap in sorted(by_suite.items()))
        found = sum(overlap.found for overlap in overlaps)
        said = f"The text to learn from was compared with {len(overlaps)} evaluation suites: "
        said += f"it holds {found} of their cases." if found else "it holds none of their cases."
        return Contamination(checked=True, cut=False, cases=found, overlaps=overlaps, sentence=said)
    known = metadata.get(METADATA)
    if isinstance(known, dict) and known.get("suites"):
        cut = known.get("overlap") != "flag"
        overlaps = tuple(
            _overlap(name, numbers) for name, numbers in sorted(known["suites"].items()) if isinstance(numbers, dict)
        )
        found = sum(overlap.found for overlap in overlaps)
        said = f"The corpus was compared with {len(known['suites'])} evaluation suites when it was made; {found} of "
        said += "their cases were found and " + ("cut out." if cut else "left in.")
        return Contamination(checked=True, cut=cut, cases=0 if cut else found, overlaps=overlaps, sentence=said)
    return Contamination(
        checked=False,
        cut=False,
        cases=0,
        overlaps=(),
        sentence="Not checked: nobody compared the corpus with evaluation suites. A model that has seen the questions "
        "looks better than it is. (Near-identical documents of the corpus itself are on one side of its split.)",
    )


def _reported(corpus: str, checked: Path) -> dict[str, Overlap]:
    """What a report says of the corpus, by suite."""
    file = checked / "report.json"
    report = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if report.get("kind") != "contamination":
        raise UserError("this is no report of the step `contamination`", where=str(checked))
    for one in report["corpora"]:
        if one["corpus"] == corpus and one.get("unread") is None:
            return {suite["suite"]: _overlap(suite["name"], suite) for suite in one["suites"]}
    return {}


def _overlap(name: str, numbers: Mapping[str, Any]) -> Overlap:
    found = numbers.get("exact", 0) + numbers.get("near", 0)
    return Overlap(suite=str(numbers.get("name", name)), cases=numbers.get("cases", 0), found=found)
