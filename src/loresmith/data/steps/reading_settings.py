"""What a recipe says about documents, wherever they are read from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from loresmith.data.globs import glob_regex
from loresmith.errors import UserError

if TYPE_CHECKING:
    from loresmith.data.ingest import Workplace
    from loresmith.data.readers.record import ReadingRules
    from loresmith.data.reading.sources import SourceFile
    from loresmith.data.recognition.models import RecognitionModels
    from loresmith.data.rights import Rights
    from loresmith.factory.step import StepContext


class RightsSettings(BaseModel):
    """What may be done with documents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    licence: str = Field(
        default="", description="Under which licence the documents are, such as `Apache-2.0`; empty: not stated."
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
    labels: tuple[str, ...] = Field(
        default=(), description="Access labels of all documents; everything made from them inherits the labels."
    )
    label_rules: dict[str, tuple[str, ...]] = Field(
        default={},
        description="More labels for the documents whose path matches a pattern, such as `hr/**: [restricted]`.",
    )

    @field_validator("label_rules")
    @classmethod
    def _label_patterns_mean_something(cls, patterns: Any) -> Any:
        glob_regex(patterns)
        return patterns

    def rights(self, beside: Iterable[SourceFile] = ()) -> Rights:
        """What is said here, and in the sidecars among some files. Raises UserError for a sidecar that is wrong."""
        from loresmith.data.rights import Rights
        from loresmith.data.rights_sidecars import read_sidecars

        links: dict[str, str] = {}

        def seen() -> Iterator[SourceFile]:
            for file in beside:
                if file.target:
                    links[file.path] = file.target
                yield file

        until = self.retain_until.isoformat() if self.retain_until else ""
        stated = read_sidecars(seen())
        return Rights(self.licence, self.labels, self.label_rules, self.owner, self.uses, until, stated, links)


class RecordSettings(BaseModel):
    """How structured records become text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_field: str = Field(
        default="text",
        min_length=1,
        description="The field of a record (of JSON, of a table) that holds its text; where no record of a table has "
        "it, a record is lines of `name: value`.",
    )
    template: str | None = Field(
        default=None,
        description="A Jinja template that makes a record's text of its fields, such as `{{ code }}: {{ remedy }}`; "
        "`record['Fault code']` for a field whose name is no variable's.",
    )
    labels_field: str = Field(
        default="",
        description="The field of a record that holds its access labels, divided by commas; a record without it is "
        "quarantined. Empty: there is none.",
    )

    @field_validator("template")
    @classmethod
    def _template_is_one(cls, template: str | None) -> str | None:
        if template is not None:
            from loresmith.data.record_template import RecordTemplate

            try:
                RecordTemplate(template)
            except UserError as error:
                raise ValueError(f"{error.where}: {error.what}" if error.where else error.what) from None
        return template


class FileSettings(RightsSettings, RecordSettings):
    """How files are read, and within which limits."""

    max_file_bytes: int = Field(
        default=64 << 20,
        ge=1,
        le=1 << 30,
        description="Larger files, in bytes, are quarantined, also in archives: a file is held in memory while it is "
        "read.",
    )
    max_unpacked_bytes: int = Field(
        default=1 << 30,
        ge=1,
        description="What one archive may unpack to in all, in bytes; what is beyond that is quarantined.",
    )
    max_members: int = Field(default=100_000, ge=1, description="How many files one archive may hold.")
    max_depth: int = Field(
        default=4, ge=0, le=20, description="Files inside files inside files are read so deep, and quarantined beyond."
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
    encodings: tuple[str, ...] = Field(
        default=("utf-8",),
        min_length=1,
        description="Encodings tried in order for files that neither begin with a byte order mark nor name their own. "
        "A single-byte one such as `cp1252` accepts almost anything, so it comes last; `auto` finds the likeliest.",
    )
    ocr_models: str | None = Field(
        default=None,
        json_schema_extra={"location": True},
        description="A folder with the networks by which scanned pages and pictures of text are read: one ONNX file "
        "`*det*.onnx`, which finds lines, and one `*rec*.onnx`, which reads them; see docs/reading.md. None: scans "
        "are quarantined, and pictures have no text. Needs the extra `ocr`.",
    )
    ocr_confidence: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="How sure the networks must be of a page's characters on average, from 0 to 1; other pages are "
        "left out, and quarantined where the file is nothing else.",
    )

    @field_validator("encodings")
    @classmethod
    def _encodings_exist(cls, encodings: tuple[str, ...]) -> tuple[str, ...]:
        from loresmith.data.decoding import AUTO, known_encoding

        unknown = [name for name in encodings if name != AUTO and not known_encoding(name)]
        if unknown:
            raise ValueError(f"no text encoding is called {', '.join(map(repr, unknown))}")
        return encodings

    def rules(self) -> ReadingRules:
        from loresmith.data.readers.record import ReadingRules

        return ReadingRules(
            encodings=self.encodings,
            text_field=self.text_field,
            template=self.template,
            labels_field=self.labels_field,
            max_unpacked_bytes=self.max_unpacked_bytes,
            max_member_bytes=self.max_file_bytes,
            max_members=self.max_members,
            ocr=self.recognition_models(),
            ocr_confidence=self.ocr_confidence,
        )

    def recognition_models(self) -> RecognitionModels | None:
        """The networks that read scans, if the recipe names any. Raises UserError if they are not there."""
        from loresmith.data.recognition.models import find_models

        return find_models(self.ocr_models) if self.ocr_models is not None else None

    def with_models(self, read: Callable[[], str]) -> str:
        """The fingerprint of what is read, as `read` gives it, with that of the networks that read scans.

        The networks come first: if they are missing, no file is read.
        """
        models = self.recognition_models()
        if models is None:
            return read()
        return hashlib.sha256(json.dumps([read(), models.identity], sort_keys=True).encode()).hexdigest()

    def workplace(self, context: StepContext) -> Workplace:
        from loresmith.data.ingest import Workplace
        from loresmith.data.reading.limits import Limits

        limits = Limits(self.file_seconds, self.file_memory, self.max_depth)
        return Workplace(
            context.work / "spool", context.cache, context.place, limits, context.erased, context.cache_bytes
        )
