"""How good the text is: what is measured of each document, spread over the corpus, and which bounds are broken."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
from pydantic import Field

from loresmith.advice.part import Basis, Part, Share
from loresmith.advice.scores import Scored
from loresmith.data.rules.profiles import PROFILES

MEASURES = {
    "words": "words in a document",
    "mean_word_length": "characters in a word",
    "alphabetic_words": "share of words with a letter",
    "terminal_lines": "share of lines that end a sentence",
    "duplicate_line_characters": "share in repeated lines",
    "duplicate_10gram_characters": "share in runs of ten words that repeat",
    "digit_characters": "share of digits",
    "known_language_bytes": "share that is prose of a known language",
    "language_confidence": "how sure its language is",
    "parses": "source code that parses",
    "comment_characters": "share of comments in source code",
    "longest_line": "characters in the longest line of source code",
    "bits_per_byte": "bits per byte of a language model",
}
"""Scores that are shown, and what they are in words; docs/curation.md defines them."""

FEWEST = 5
"""Documents of a sort below which a spread says nothing."""


class Spread(Part):
    """How a score is spread over the documents of one sort."""

    profile: str = Field(description="The sort of documents, as curation's profiles name it.")
    measure: str = Field(description="The score's name.")
    meaning: str = Field(description="What it is.")
    documents: int = Field(description="Documents that have it.")
    p5: float = Field(description="Five documents in a hundred have less.")
    p25: float = Field(description="A quarter have less.")
    p50: float = Field(description="Half have less.")
    p75: float = Field(description="A quarter have more.")
    p95: float = Field(description="Five documents in a hundred have more.")
    minimum: float | None = Field(description="What the profile wants at least; null where it does not say.")
    maximum: float | None = Field(description="What it allows at most.")


class BrokenBound(Part):
    """A bound of a profile that some documents break."""

    profile: str = Field(description="The sort of documents.")
    name: str = Field(description="The score or flag.")
    consequence: str = Field(description="What curation would do by default: drop, quarantine, or flag.")
    because: str = Field(description="What it means.")
    documents: int = Field(description="How many documents break it.")
    bytes: int = Field(description="Their bytes.")


class Quality(Part):
    """How good the text is."""

    basis: Basis = Field(description="On what it was measured.")
    from_curation: bool = Field(description="Whether the scores are those of the curation that made the corpus.")
    profiles: tuple[Share, ...] = Field(description="Sorts of documents.")
    spreads: tuple[Spread, ...] = Field(description="How the scores are spread, by sort.")
    broken: tuple[BrokenBound, ...] = Field(description="Bounds that are broken, most bytes first.")
    doubtful: float = Field(description="Share of the bytes that a default profile would drop or put in quarantine.")
    flagged: float = Field(description="Share of the bytes that it would mark.")


class Languages(Part):
    """What the text is written in."""

    basis: Basis = Field(description="On what it was measured.")
    shares: tuple[Share, ...] = Field(
        description="By language: ISO 639-1 of prose, its name of source code, empty where it cannot be told."
    )
    unknown: float = Field(description="Share of the bytes whose language cannot be told.")


def quality(scored: Iterable[Scored], basis: Basis | None, listed: int = 15) -> tuple[Quality, Languages]:
    """Put together what is known of documents.

    Args:
        scored: the documents.
        basis: on what that is; None: on all that was kept, by curation.
        listed: broken bounds and languages that are named.
    """
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    broken: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    profiles: Counter[str] = Counter()
    profile_bytes: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    language_documents: Counter[str] = Counter()
    documents = whole = doubtful = flagged = 0
    for one in scored:
        documents += 1
        whole += one.bytes
        profiles[one.profile] += 1
        profile_bytes[one.profile] += one.bytes
        languages[one.language] += one.bytes
        language_documents[one.language] += 1
        for name in MEASURES:
            if name in one.scores:
                values[one.profile, name].append(one.scores[name])
        consequences = {consequence for _, consequence, _ in one.breaches}
        doubtful += one.bytes if consequences & {"drop", "quarantine"} else 0
        flagged += one.bytes if "flag" in consequences else 0
        for name, consequence, because in dict.fromkeys(one.breaches):
            counts = broken[one.profile, name, consequence, because]
            counts[0] += 1
            counts[1] += one.bytes
    basis = basis or Basis(documents=documents, bytes=whole, all=True)

    def share(name: str, count: int, size: int) -> Share:
        return Share(name=name, documents=count, bytes=size, share=size / max(1, whole))

    ranked = sorted(broken.items(), key=lambda item: (-item[1][1], item[0]))[:listed]
    return Quality(
        basis=basis,
        from_curation=False,
        profiles=tuple(share(name, profiles[name], size) for name, size in profile_bytes.most_common()),
        spreads=tuple(
            _spread(profile, measure, values[profile, measure])
            for profile in sorted(profiles)
            for measure in MEASURES
            if len(values[profile, measure]) >= FEWEST
        ),
        broken=tuple(
            BrokenBound(profile=p, name=n, consequence=c, because=b, documents=counts[0], bytes=counts[1])
            for (p, n, c, b), counts in ranked
        ),
        doubtful=doubtful / max(1, whole),
        flagged=flagged / max(1, whole),
    ), Languages(
        basis=basis,
        shares=tuple(share(name, language_documents[name], size) for name, size in languages.most_common(listed)),
        unknown=languages[""] / max(1, whole),
    )


def _spread(profile: str, measure: str, values: list[float]) -> Spread:
    p5, p25, p50, p75, p95 = (float(x) for x in np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]))
    bounds = [bound for bound in PROFILES[profile].bounds if bound.score == measure] if profile in PROFILES else []
    minima = [bound.minimum for bound in bounds if bound.minimum is not None]
    maxima = [bound.maximum for bound in bounds if bound.maximum is not None]
    return Spread(
        profile=profile,
        measure=measure,
        meaning=MEASURES[measure],
        documents=len(values),
        p5=p5,
        p25=p25,
        p50=p50,
        p75=p75,
        p95=p95,
        minimum=max(minima, default=None),
        maximum=min(maxima, default=None),
    )
