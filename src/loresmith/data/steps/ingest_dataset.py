"""The step `ingest-dataset`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from loresmith.data.steps.documents_made import OUTPUTS, PACKAGES, made
from loresmith.data.steps.ingest_messages import messages_made
from loresmith.data.steps.reading_settings import FileSettings
from loresmith.errors import UserError
from loresmith.factory.step import Guess, InputAsset, Output, Result, Step, StepConfig, StepContext

if TYPE_CHECKING:
    from loresmith.data.ingest import Selection
    from loresmith.data.saved_datasets import SavedDataset

DESCRIBED = "dataset.json"
"""In the `source` asset, beside the listing of its files."""


class IngestDatasetConfig(StepConfig, FileSettings):
    """A dataset of the library `datasets`, or a folder of tables with a dataset card."""

    path: str = Field(
        json_schema_extra={"location": True},
        description="The folder: what `save_to_disk` wrote, or one of Parquet, Arrow, CSV or JSON Lines, with or "
        "without a README.md that says which files belong to which split.",
    )
    content: Literal["documents", "conversations"] = Field(
        default="documents",
        description="What a row is: a document, by `text_field` or `template`, or a conversation in one of the forms "
        "of docs/fine-tuning.md.",
    )
    splits: tuple[str, ...] = Field(
        default=(),
        description="Which of its splits are read, such as `train`; none: all. Documents are split anew by `curate`, "
        "conversations by `validation_share`.",
    )
    configuration: str = Field(
        default="", description="Which configuration of the card is read; empty: `default`, or the only one."
    )
    max_file_bytes: int = Field(
        default=1 << 30,
        ge=1,
        le=1 << 34,
        description="Larger files, in bytes, are quarantined: a file is held in memory while it is read.",
    )
    on_error: Literal["refuse", "quarantine"] = Field(
        default="refuse", description="Of conversations: what to do with those that cannot be learnt from."
    )
    validation_share: float = Field(
        default=0.05, ge=0, lt=1, description="Of conversations: the share that is held out to watch training."
    )
    metadata_fields: tuple[str, ...] = Field(
        default=(),
        description="Of conversations: columns besides those of their form, which are kept as metadata. Any other "
        "unknown column is an error.",
    )

    def found(self) -> SavedDataset:
        from loresmith.data.saved_datasets import find_dataset

        return find_dataset(Path(self.path), self.configuration)

    def selection(self, found: SavedDataset) -> Selection:
        from loresmith.data.ingest import Selection

        patterns = found.patterns(self.splits, where="splits")
        return Selection([Path(self.path)], patterns, (), self.max_file_bytes)

    def kept(self, found: SavedDataset) -> str:
        """What the snapshot says of the dataset besides its files: all that is read of what describes it."""
        files = {path: split for path, split in found.files.items() if not self.splits or split in self.splits}
        return json.dumps({"licence": found.licence, "files": files}, ensure_ascii=False) + "\n"


def _ingest_dataset(context: StepContext, config: IngestDatasetConfig, _inputs: Mapping[str, InputAsset]) -> Result:
    found = config.found()
    if found.licence and not config.licence:
        context.log(f"the dataset states its licence: {found.licence}")
        config = config.model_copy(update={"licence": found.licence})
    (context.output("source") / DESCRIBED).write_text(config.kept(found), encoding="utf-8")
    if config.content == "conversations":
        return _conversations(context, config, found)
    from loresmith.data.ingest import ingest

    source, documents = context.output("source"), context.output("documents")
    files, workplace = config.selection(found).files(), config.workplace(context)
    result = ingest(
        files, config.max_file_bytes, config.rules(), config.rights(files), source, documents, workplace, context
    )
    return made(context, source, documents, result)


def _conversations(context: StepContext, config: IngestDatasetConfig, found: SavedDataset) -> Result:
    from loresmith.data.messages_ingest import MessageRules, ingest_messages

    if config.template is not None or config.labels_field:
        raise UserError(
            "conversations have no template and no column of labels",
            where="content",
            hint="a record of a conversation may have the key `labels`",
        )
    source, dataset = context.output("source"), context.output("dataset")
    selection = config.selection(found)
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


def _fingerprint(config: IngestDatasetConfig, cache: Path | None = None, erased: frozenset[str] = frozenset()) -> str:
    from loresmith.data.fingerprint import content_fingerprint

    def read() -> str:
        found = config.found()
        files = content_fingerprint(config.selection(found).files(), config.max_file_bytes, cache, erased)
        return hashlib.sha256(json.dumps([files, found.licence]).encode()).hexdigest()

    return config.with_models(read)


def _restore_dataset(config: IngestDatasetConfig, outputs: Mapping[str, Path], folder: Path) -> IngestDatasetConfig:
    from loresmith.data import messages_snapshot, snapshot
    from loresmith.data.saved_datasets import write_card

    source = outputs["source"]
    if not (source / DESCRIBED).is_file():
        raise UserError(f"it was made before snapshots of datasets had {DESCRIBED}", hint="run the recipe again")
    if config.content == "conversations":
        messages_snapshot.restore(source, outputs["dataset"], 1, folder)
    else:
        snapshot.restore(source, outputs["documents"], 1, folder)
    said = json.loads((source / DESCRIBED).read_text(encoding="utf-8"))
    place = folder / "place"
    write_card(place, said["files"], said["licence"], config.configuration)
    return config.model_copy(update={"path": str(place)})


INGEST_DATASET = Step(
    name="ingest-dataset",
    version=6,
    summary="Read a dataset that the library `datasets` saved, or a folder of tables with a dataset card.",
    config=IngestDatasetConfig,
    inputs={},
    outputs={
        "source": OUTPUTS["source"],
        "documents": Output("documents", "One row for each row of the dataset.", optional=True),
        "dataset": Output("dataset", "One row for each conversation, with its split.", optional=True),
    },
    makes=lambda config: frozenset({"dataset" if config.content == "conversations" else "documents"}),
    run=_ingest_dataset,
    fingerprint=_fingerprint,
    remembers=True,
    leaves_out_erased=True,
    restore_sources=_restore_dataset,
    packages=PACKAGES,
    guess=lambda _config: Guess(seconds=10, peak_bytes=1 << 30, output_bytes=1 << 27),
)
