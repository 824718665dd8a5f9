"""What points at people or opens doors: how much of it there is. Never what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from loresmith.advice.part import Basis, Part
from loresmith.advice.sample import Sample
from loresmith.data.observer import Observer, safe_point
from loresmith.data.privacy.rules import KINDS, PrivacyRules
from loresmith.evaluation.intervals import Interval, ratio_interval

RESAMPLES = 500
MEGABYTE = 1_000_000


class Found(Part):
    """Findings of one kind."""

    kind: str = Field(description="What it is, as in docs/privacy.md.")
    findings: int = Field(description="How many in what was looked at.")
    documents: int = Field(description="In how many documents.")
    per_megabyte: float = Field(description="For each million bytes.")
    interval: Interval | None = Field(
        description="Of that, at 95 % confidence over documents; null where all was looked at, or too few documents."
    )


class PersonalData(Part):
    """What was found, as numbers."""

    basis: Basis = Field(description="On what it was measured.")
    kinds: tuple[Found, ...] = Field(description="By kind, most first; kinds that were not found are left out.")
    looked_for: tuple[str, ...] = Field(description="All kinds that were looked for.")
    treated: dict[str, int] = Field(description="What curation found before, by kind, and treated as its recipe says.")


def personal_data(sample: Sample, metadata: Mapping[str, Any], seed: int, observer: Observer) -> PersonalData:
    """Look through a sample.

    Args:
        metadata: of the corpus.
    """
    from loresmith.data.privacy.recognisers import Recognisers

    recognisers = Recognisers(PrivacyRules())
    counts: dict[str, list[int]] = {}
    for number, text in enumerate(sample.texts):
        for kind, found in Counter(finding.kind for finding in recognisers.find(text.text)).items():
            counts.setdefault(kind, [0] * len(sample.texts))[number] = found
        if number % 64 == 0:
            safe_point(observer, number, len(sample.texts), "documents")
    sizes = [text.bytes / MEGABYTE for text in sample.texts]
    kinds = [
        Found(
            kind=kind,
            findings=sum(found),
            documents=sum(count > 0 for count in found),
            per_megabyte=sum(found) / max(sum(sizes), 1e-9),
            interval=None if sample.basis.all else ratio_interval(found, sizes, RESAMPLES, seed),
        )
        for kind, found in counts.items()
    ]
    return PersonalData(
        basis=sample.basis,
        kinds=tuple(sorted(kinds, key=lambda found: (-found.findings, found.kind))),
        looked_for=KINDS,
        treated=dict(sorted((metadata.get("privacy_findings") or {}).items())),
    )
