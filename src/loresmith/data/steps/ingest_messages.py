"""`ingest-messages`: conversations to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from loresmith.data.globs import glob_regex
from loresmith.data.steps.reading_settings import RightsSettings
from loresmith.factory.step import Guess, InputAsset, Made, Output, Result, Step, StepConfig, StepContext

if TYPE_CHECKING:
    from loresmith.data.ingest import Selection
    from loresmith.data.messages_ingest import IngestedMessages


class IngestMessagesConfig(StepConfig, RightsSettings):
    """Conversations of an organisation, as a dataset."""

    path: str | tuple[str, ...] = Field(
        json_schema_extra={"location": True},
        description="A file of JSON Lines, a folder of them, or a list of such; Parquet and Arrow are read, too, a row "
        "for a line. Each line is a record: `messages`, or `prompt` and `completion`, or `instruction` and `output`, "
        "or `conversations`; see docs/fine-tuning.md.",
    )
    include: tuple[str, ...] = Field(
        default=("*.jsonl", "*.ndjson"),
        min_length=1,
        description="Patterns of the files wanted in a folder, as in .gitignore: `support/*.jsonl`, `**/*.jsonl`.",
    )
    exclude: tuple[str, ...] = Field(default=(), description="Patterns of files left alone; they win over `include`.")
    on_error: Literal["refuse", "quarantine"] = Field(
        default="refuse",
        description="What to do with records that cannot be learnt from: `refuse` the whole, naming each with its "
        "line, or `quarantine` them, which the books list.",
    )
    validation_share: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Share of the records held out to watch training, from 0 to 1, by a hash of what they say: equal "
        "records are on one side, and a record stays on its side when others are added.",
    )
    metadata_fields: tuple[str, ...] = Field(
        default=(),
        description="Keys that records may have besides those of their form; they are kept as metadata. Any other "
        "unknown key is an error.",
    )
    max_file_bytes: int = Field(
        default=1 << 30,
        ge=1,
        le=1 << 34,
        description="Larger files, in bytes, are not read: a file is held in memory while it is.",
    )

    @field_validator("include", "exclude")
    @classmethod
    def _patterns_mean_something(cls, patterns: Any) -> Any:
        glob_regex(patterns)
        return patterns

    @property
    def places(self) -> list[Path]:
        return [Path(place) for place in ([self.path] if isinstance(self.path, str) else self.path)]

    def selection(self) -> Selection:
        """The files wanted, and sidecars; where only files are named, each of them is wanted, whatever it is called."""
        from loresmith.data.ingest import Selection
        from loresmith.data.rights_sidecars import PATTERNS

        named = all(place.is_file() for place in self.places)
        wanted = ("**",) if named else (*self.include, *PATTERNS)
        return Selection(self.places, wanted, self.exclude, self.max_file_bytes)


def _ingest_messages(context: StepContext, config: IngestMessagesConfig, _inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.messages_ingest import MessageRules, ingest_messages

    selection = config.selection()
    source, dataset = context.output("source"), context.output("dataset")
    result = ingest_messages(
        selection,
        MessageRules(config.on_error, config.metadata_fields, config.validation_share),
        config.rights(selection.files()),
        source,
        dataset,
        context,
        context.erased,
    )
    return messages_made(context, source, dataset, result)


def messages_made(context: StepContext, source: Path, dataset: Path, result: IngestedMessages) -> Result:
    """The outputs of what was read, and what is said of it."""
    from loresmith.data.messages_dataset import RECORDS
    from loresmith.data.rights_summary import rights_facts

    for path in sorted(result.stray_sidecars):
        context.log(f"a sidecar speaks of the rights of {path}, which is not among the files that are read")
    if result.erased:
        context.log(f"left out {result.erased} that were erased from this workspace")
    for reason, count in result.quarantined.most_common():
        context.log(f"quarantined {count}: {reason}")
    if result.isolation:
        context.log(f"isolation of the readers: {result.isolation}")
    if result.duplicates:
        context.log(f"{result.duplicates} records say the same as one before them; they are kept, on one side")
    metadata = {
        "records": dict(sorted(result.records.items())),
        "messages": dict(sorted(result.turns.items())),
        "duplicates": result.duplicates,
        **rights_facts(dataset, RECORDS),
    }
    held = {"files": result.files, "bytes": result.file_bytes, "content": result.content}
    return Result(
        {
            "dataset": Made(dataset, metadata, tuple(sorted(result.labels))),
            "source": Made(source, held, tuple(sorted(result.source_labels | result.labels))),
        },
        result.books,
    )


def _fingerprint(config: IngestMessagesConfig, erased: frozenset[str] = frozenset()) -> str:
    from loresmith.data.fingerprint import content_fingerprint

    return content_fingerprint(config.selection().files(), config.max_file_bytes, None, erased)


def _restore_places(config: IngestMessagesConfig, outputs: Mapping[str, Path], folder: Path) -> IngestMessagesConfig:
    from loresmith.data.messages_snapshot import restore

    places = restore(outputs["source"], outputs["dataset"], len(config.places), folder)
    path = str(places[0]) if len(places) == 1 else tuple(map(str, places))
    return config.model_copy(update={"path": path})


def _gone(config: IngestMessagesConfig, missing: AbstractSet[str], dataset: Path) -> AbstractSet[str]:
    from loresmith.data.gone import gone_files

    selection = config.selection()
    return gone_files(missing, selection.wanted(), dataset, several=len(selection.places) > 1)


INGEST_MESSAGES = Step(
    name="ingest-messages",
    version=6,
    summary="Read conversations in JSON Lines into a dataset for fine-tuning; every bad record is named.",
    config=IngestMessagesConfig,
    inputs={},
    outputs={
        "dataset": Output("dataset", "One row for each conversation, with its split, source line and labels."),
        "source": Output("source", "The bytes of every file, as they were read."),
    },
    run=_ingest_messages,
    fingerprint=_fingerprint,
    leaves_out_erased=True,
    restore_sources=_restore_places,
    gone=_gone,
    packages=("pyarrow",),
    guess=lambda _config: Guess(seconds=5, peak_bytes=1 << 29, output_bytes=1 << 24),
)
