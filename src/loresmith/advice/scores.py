"""What curation wrote of each document, where it did: `scores.parquet`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loresmith.advice.sample import Text
from loresmith.data.curation.expectations import profile_of
from loresmith.data.media import MEDIA
from loresmith.data.rules.profiles import PROFILES, Consequence

SCORES = "scores.parquet"


@dataclass(frozen=True)
class Scored:
    """What is known of a document.

    Attributes:
        breaches: name, consequence and reason of each bound of its profile that it breaks.
    """

    profile: str
    bytes: int
    language: str
    scores: dict[str, float]
    breaches: Sequence[tuple[str, Consequence, str]]


def has_scores(corpus: Path) -> bool:
    """Whether curation left its scores."""
    return (corpus / SCORES).is_file()


def kept_scores(corpus: Path) -> Iterator[Scored]:
    """Those of the documents that were kept with their text."""
    import pyarrow.parquet

    columns = ["profile", "bytes", "language", "disposition", "reason", "scores", "flags", "breaches"]
    file = pyarrow.parquet.ParquetFile(corpus / SCORES, pre_buffer=False)
    for batch in file.iter_batches(batch_size=1024, columns=columns):
        for row in batch.to_pylist():
            if row["disposition"] != "kept" or row["reason"] == MEDIA:
                continue
            breaches = [(each["name"], each["consequence"], each["because"]) for each in row["breaches"] or ()]
            language = _language(row["flags"] or (), row["language"])
            yield Scored(row["profile"], row["bytes"], language, dict(row["scores"] or ()), breaches)


def look(text: Text) -> Scored:
    """What the rules say of a document that curation has not scored."""
    from loresmith.data.rules.rulebook import RULES

    profile = profile_of(text.language, text.media_type)
    scores: dict[str, float] = {}
    flags: list[str] = []
    language = text.language
    for name in ("language", "measures", "code_quality"):
        if name in PROFILES[profile].rules:
            found = RULES[name].look(text.text, language, text.media_type, ())
            scores.update(found.scores)
            flags += found.flags
            language = _language(found.flags, language)
    breaches = [
        (breach.name, breach.consequence, breach.because) for breach in PROFILES[profile].breaches(scores, flags)
    ]
    return Scored(profile, text.bytes, language, scores, breaches)


def _language(flags: Sequence[str], known: str) -> str:
    return known or next((flag.removeprefix("language:") for flag in flags if flag.startswith("language:")), "")
