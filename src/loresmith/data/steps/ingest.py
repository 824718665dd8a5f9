"""The step `ingest`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from loresmith.data.decoding import known_encoding
from loresmith.data.globs import glob_regex
from loresmith.factory.step import Guess, InputAsset, Made, Output, Result, Step, StepConfig, StepContext


class IngestConfig(StepConfig):
    """Files of an organisation, as documents."""

    path: str | tuple[str, ...] = Field(
        json_schema_extra={"location": True},
        description="A folder, a file, or a list of them. With several, paths begin with the name of theirs.",
    )
    include: tuple[str, ...] = Field(
        default=("**",),
        min_length=1,
        description="Patterns of the files wanted, relative to the folder. As in .gitignore: `*.md` and `docs` match "
        "at any depth, `docs/*.md` and `/setup.py` from the top, `**` any number of folders; a folder stands for all "
        "in it.",
    )
    exclude: tuple[str, ...] = Field(
        default=(".git", ".hg", ".svn", "__pycache__"),
        description="Patterns of files and folders left alone, by the same rules; they win over `include`. A folder "
        "`.loresmith`, in which a workspace keeps its own files, is always left alone.",
    )
    licence: str = Field(
        default="", description="Under which licence the documents are, such as `Apache-2.0`; empty: not stated."
    )
    labels: tuple[str, ...] = Field(
        default=(), description="Access labels of all documents; everything made from them inherits the labels."
    )
    label_rules: dict[str, tuple[str, ...]] = Field(
        default={},
        description="More labels for the documents whose path matches a pattern, such as `hr/**: [restricted]`.",
    )
    owner: str = Field(
        default="", description="Who answers for the documents, such as a department; empty: not stated."
    )
    uses: tuple[Literal["train", "evaluate", "retrieve"], ...] = Field(
        default=("train", "evaluate", "retrieve"),
        min_length=1,
        description="What the documents may be used for. A step for another use leaves them out, in its books.",
    )
    retain_until: date | None = Field(
        default=None, description="The last day on which the documents may be kept, as YYYY-MM-DD; none: no such day."
    )
    file_seconds: float = Field(
        default=60,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds of the processor's time that reading one file may take; one that takes longer is "
        "quarantined.",
    )
    file_memory: int = Field(
        default=2 << 30,
        ge=64 << 20,
        description="Memory that reading one file may take, in bytes, beyond the reader's own; one that needs more is "
        "quarantined.",
    )
    max_unpacked_bytes: int = Field(
        default=1 << 30,
        ge=1,
        description="What one archive may unpack to in all, in bytes; what is beyond that is quarantined.",
    )
    max_depth: int = Field(
        default=4, ge=0, le=20, description="Files inside files inside files are read so deep, and quarantined beyond."
    )
    max_file_bytes: int = Field(
        default=64 << 20,
        ge=1,
        le=1 << 30,
        description="Larger files, in bytes, are quarantined: a file is held in memory while it is read.",
    )
    text_field: str = Field(
        default="text", min_length=1, description="The field of a JSON Lines record that holds the document's text."
    )
    encodings: tuple[str, ...] = Field(
        default=("utf-8",),
        min_length=1,
        description="Encodings tried in order for files that neither begin with a byte order mark nor name their own. "
        "A single-byte one such as `cp1252` accepts almost anything, so it comes last.",
    )

    @field_validator("include", "exclude", "label_rules")
    @classmethod
    def _patterns_mean_something(cls, patterns: Any) -> Any:
        glob_regex(patterns)
        return patterns

    @field_validator("encodings")
    @classmethod
    def _encodings_exist(cls, encodings: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in encodings if not known_encoding(name)]
        if unknown:
            raise ValueError(f"no text encoding is called {', '.join(map(repr, unknown))}")
        return encodings

    @property
    def left_alone(self) -> tuple[str, ...]:
        return (*self.exclude, ".loresmith")

    @property
    def places(self) -> list[Path]:
        return [Path(place) for place in ([self.path] if isinstance(self.path, str) else self.path)]


def _ingest(context: StepContext, config: IngestConfig, _inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.ingest import Selection, Workplace, ingest
    from loresmith.data.readers.record import ReadingRules
    from loresmith.data.reading.limits import Limits
    from loresmith.data.rights import Rights

    source, documents = context.output("source"), context.output("documents")
    result = ingest(
        Selection(config.places, config.include, config.left_alone, config.max_file_bytes),
        ReadingRules(
            config.encodings,
            config.text_field,
            max_unpacked_bytes=config.max_unpacked_bytes,
            max_member_bytes=config.max_file_bytes,
        ),
        Rights(
            config.licence,
            config.labels,
            config.label_rules,
            config.owner,
            config.uses,
            config.retain_until.isoformat() if config.retain_until else "",
        ),
        source,
        documents,
        Workplace(
            context.work / "spool",
            context.cache,
            context.place,
            Limits(config.file_seconds, config.file_memory, config.max_depth),
        ),
        context,
    )
    if result.read < result.files:
        context.log(f"read {result.read} of {result.files} files; the others are as they were")
    for reason, count in result.quarantined.most_common():
        context.log(f"quarantined {count}: {reason}")
    metadata = {
        "documents": result.documents,
        "bytes": result.text_bytes,
        "media_types": dict(result.media_types),
        "languages": {language or "unknown": count for language, count in result.languages.items()},
    }
    held = {"files": result.files, "bytes": result.file_bytes, "content": result.content}
    return Result(
        {
            "source": Made(source, held, tuple(sorted(result.source_labels))),
            "documents": Made(documents, metadata, tuple(sorted(result.labels))),
        },
        result.books,
    )


def _ingest_fingerprint(config: IngestConfig, cache: Path | None = None) -> str:
    from loresmith.data.fingerprint import content_fingerprint

    return content_fingerprint(config.places, config.include, config.left_alone, config.max_file_bytes, cache)


def _restore_places(config: IngestConfig, outputs: Mapping[str, Path], folder: Path) -> IngestConfig:
    from loresmith.data.snapshot import restore

    places = restore(outputs["source"], outputs["documents"], len(config.places), folder)
    path = str(places[0]) if len(places) == 1 else tuple(map(str, places))
    return config.model_copy(update={"path": path})


INGEST = Step(
    name="ingest",
    version=2,
    summary="Read files of many kinds into documents; what cannot be read is quarantined with the reason.",
    config=IngestConfig,
    inputs={},
    outputs={
        "source": Output("source", "The bytes of every file, as they were read."),
        "documents": Output("documents", "One row for each document, with its text, licence and labels."),
    },
    run=_ingest,
    fingerprint=_ingest_fingerprint,
    remembers=True,
    restore_sources=_restore_places,
    packages=("pyarrow",),
    guess=lambda _config: Guess(seconds=10, peak_bytes=1 << 29, output_bytes=1 << 25),
)
