"""The step `ingest`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from loresmith.data.globs import glob_regex
from loresmith.data.steps.documents_made import OUTPUTS, PACKAGES, made
from loresmith.data.steps.reading_settings import FileSettings
from loresmith.factory.step import Guess, InputAsset, Result, Step, StepConfig, StepContext

if TYPE_CHECKING:
    from loresmith.data.ingest import Selection


class IngestConfig(StepConfig, FileSettings):
    """Files of an organisation, as documents."""

    path: str | tuple[str, ...] = Field(
        json_schema_extra={"location": True},
        description="A folder, a file, a URL (`s3://bucket/folder`, `gs://`, `az://`), or a list of them. With "
        "several, paths begin with the name of theirs.",
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
    allow_http: bool = Field(default=False, description="Whether a URL may be on the web (`http://`, `https://`).")

    @field_validator("include", "exclude")
    @classmethod
    def _patterns_mean_something(cls, patterns: Any) -> Any:
        glob_regex(patterns)
        return patterns

    @property
    def left_alone(self) -> tuple[str, ...]:
        return (*self.exclude, ".loresmith")

    @property
    def places(self) -> list[Path | str]:
        from loresmith.data.remote_places import is_remote

        named = [self.path] if isinstance(self.path, str) else self.path
        return [place if is_remote(place) else Path(place) for place in named]

    def forget_missing(self, cache: Path) -> None:
        """Remember no more what files were that are not there any more."""
        from loresmith.data.reading.memory import KnownFiles

        with KnownFiles(cache) as known:
            for place in self.places:
                if isinstance(place, Path):
                    known.forget_missing(os.path.realpath(place))

    def selection(self) -> Selection:
        from loresmith.data.ingest import Selection
        from loresmith.data.rights_sidecars import PATTERNS

        return Selection(self.places, (*self.include, *PATTERNS), self.left_alone, self.max_file_bytes, self.allow_http)


def _ingest(context: StepContext, config: IngestConfig, _inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.ingest import ingest

    source, documents = context.output("source"), context.output("documents")
    files, workplace = config.selection().files(), config.workplace(context)
    result = ingest(
        files, config.max_file_bytes, config.rules(), config.rights(files), source, documents, workplace, context
    )
    config.forget_missing(context.cache)
    return made(context, source, documents, result)


def _gone(config: IngestConfig, missing: AbstractSet[str], documents: Path) -> AbstractSet[str]:
    from loresmith.data.gone import gone_files

    selection = config.selection()
    return gone_files(missing, selection.wanted(), documents, several=len(selection.places) > 1)


def _ingest_fingerprint(config: IngestConfig, cache: Path | None = None, erased: frozenset[str] = frozenset()) -> str:
    from loresmith.data.fingerprint import content_fingerprint

    return config.with_models(
        lambda: content_fingerprint(config.selection().files(), config.max_file_bytes, cache, erased)
    )


def _restore_places(config: IngestConfig, outputs: Mapping[str, Path], folder: Path) -> IngestConfig:
    from loresmith.data.snapshot import restore

    places = restore(outputs["source"], outputs["documents"], len(config.places), folder)
    path = str(places[0]) if len(places) == 1 else tuple(map(str, places))
    return config.model_copy(update={"path": path})


INGEST = Step(
    name="ingest",
    version=6,
    summary="Read files of many kinds into documents; what cannot be read is quarantined with the reason.",
    config=IngestConfig,
    inputs={},
    outputs=OUTPUTS,
    run=_ingest,
    fingerprint=_ingest_fingerprint,
    remembers=True,
    leaves_out_erased=True,
    restore_sources=_restore_places,
    gone=_gone,
    packages=PACKAGES,
    guess=lambda _config: Guess(seconds=10, peak_bytes=1 << 29, output_bytes=1 << 25),
)
