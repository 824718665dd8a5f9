"""The step `ingest`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    from loresmith.data.ingest import Rights, Selection, ingest
    from loresmith.data.readers.record import ReadingRules

    source, documents = context.output("source"), context.output("documents")
    result = ingest(
        Selection(config.places, config.include, config.left_alone, config.max_file_bytes),
        ReadingRules(config.encodings, config.text_field),
        Rights(config.licence, config.labels, config.label_rules),
        source,
        documents,
        context,
    )
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


def _ingest_fingerprint(config: IngestConfig) -> str:
    from loresmith.data.fingerprint import content_fingerprint

    return content_fingerprint(config.places, config.include, config.left_alone, config.max_file_bytes)


def _restore_places(config: IngestConfig, outputs: Mapping[str, Path], folder: Path) -> IngestConfig:
    from loresmith.data.snapshot import restore

    places = restore(outputs["source"], outputs["documents"], len(config.places), folder)
    path = str(places[0]) if len(places) == 1 else tuple(map(str, places))
    return config.model_copy(update={"path": path})


INGEST = Step(
    name="ingest",
    version=1,
    summary="Read files of many kinds into documents; what cannot be read is quarantined with the reason.",
    config=IngestConfig,
    inputs={},
    outputs={
        "source": Output("source", "The bytes of every file, as they were read."),
        "documents": Output("documents", "One row for each document, with its text, licence and labels."),
    },
    run=_ingest,
    fingerprint=_ingest_fingerprint,
    restore_sources=_restore_places,
    packages=("pyarrow",),
    guess=lambda _config: Guess(seconds=10, peak_bytes=1 << 29, output_bytes=1 << 25),
)
