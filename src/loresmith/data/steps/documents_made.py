"""What the steps that read documents return."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.data.reading.memory import READER_PACKAGES
from loresmith.factory.step import Made, Output, Result, StepContext

if TYPE_CHECKING:
    from loresmith.data.ingested import Ingested

OUTPUTS = {
    "source": Output("source", "The bytes of every file, as they were read."),
    "documents": Output("documents", "One row for each document, with its text, licence and labels."),
}
PACKAGES = READER_PACKAGES


def made(context: StepContext, source: Path, documents: Path, result: Ingested) -> Result:
    """The outputs of what was read, and what is said of it."""
    for path in sorted(result.stray_sidecars):
        context.log(f"a sidecar speaks of the rights of {path}, which is not among the files that are read")
    if result.read < result.files:
        context.log(f"read {result.read} of {result.files} files; the others are as they were")
    if result.isolation:
        context.log(f"isolation of the readers: {result.isolation}")
    if result.erased:
        context.log(f"left out {result.erased} that were erased from this workspace")
    for reason, count in result.quarantined.most_common():
        context.log(f"quarantined {count}: {reason}")
    metadata: dict[str, Any] = {
        "documents": result.documents,
        "bytes": result.text_bytes,
        "media_types": dict(result.media_types),
        "languages": {language or "unknown": count for language, count in result.languages.items()},
        "licences": {licence or "not stated": count for licence, count in result.licences.items()},
        "owners": {owner or "not stated": count for owner, count in result.owners.items()},
        "uses": dict(result.uses),
    }
    if result.retain_until:
        metadata["first_retain_until"] = result.retain_until
    held = {"files": result.files, "bytes": result.file_bytes, "content": result.content}
    return Result(
        {
            "source": Made(source, held, tuple(sorted(result.source_labels | result.labels))),
            "documents": Made(documents, metadata, tuple(sorted(result.labels))),
        },
        result.books,
    )
