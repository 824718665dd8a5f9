"""The step `ingest-git`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from pydantic import Field, field_validator

from loresmith.data.globs import glob_regex
from loresmith.data.steps.documents_made import OUTPUTS, PACKAGES, made
from loresmith.data.steps.reading_settings import FileSettings
from loresmith.factory.step import Guess, InputAsset, Result, Step, StepConfig, StepContext


class IngestGitConfig(StepConfig, FileSettings):
    """The files of a Git repository as of one commit, as documents."""

    path: str = Field(
        json_schema_extra={"location": True}, description="A work tree or a bare repository. Only commits are read."
    )
    revision: str = Field(default="HEAD", min_length=1, description="A branch, a tag or a commit.")
    history: bool = Field(
        default=False,
        description="Whether the commit and all before it are documents too: their messages, and what they changed in "
        "files that are read, and on no stricter terms than the commit itself.",
    )
    include: tuple[str, ...] = Field(default=("**",), min_length=1, description="Patterns of the files wanted.")
    exclude: tuple[str, ...] = Field(default=(), description="Patterns of files left alone; they win over `include`.")

    @field_validator("include", "exclude")
    @classmethod
    def _patterns_mean_something(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        glob_regex(patterns)
        return patterns


def _patterns(config: IngestGitConfig) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Of the files that are read, sidecars among them, and of those that are left alone."""
    from loresmith.data.rights_sidecars import PATTERNS

    return glob_regex((*config.include, *PATTERNS)), glob_regex(config.exclude)


def _ingest_git(context: StepContext, config: IngestGitConfig, _inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.git_snapshot import REPOSITORY, describe, doubt, read_commit
    from loresmith.data.git_source import DAMAGED, HISTORY, GitFile
    from loresmith.data.ingest import ingest
    from loresmith.data.readers.record import Refused
    from loresmith.data.reading.sources import CommittedFile
    from loresmith.data.rights_sidecars import PATTERNS

    sidecars, documents_of = glob_regex(PATTERNS), glob_regex(config.include)
    included, excluded = _patterns(config)

    def wanted(file: CommittedFile) -> bool:
        return included.fullmatch(file.path) is not None and excluded.fullmatch(file.path) is None

    place = Path(config.path)
    beside = map(CommittedFile, read_commit(place, config.revision, config.max_file_bytes))
    rights = config.rights(file for file in beside if wanted(file))
    commits = rights.of(f"{HISTORY}/")

    def shown(path: str, data: bytes) -> bool:
        if not documents_of.fullmatch(path) or excluded.fullmatch(path) or sidecars.fullmatch(path):
            return False
        if context.erased and hashlib.sha256(data).hexdigest() in context.erased:
            return False
        return not rights.of(path).stricter_than(commits)

    damaged = False

    def noted(file: GitFile | Refused) -> CommittedFile:
        nonlocal damaged
        damaged |= isinstance(file, Refused) and file.reason == DAMAGED
        return CommittedFile(file)

    most = config.max_file_bytes
    found = map(noted, read_commit(place, config.revision, most, history=config.history, shown=shown))
    files = (file for file in found if file.path.startswith(f"{HISTORY}/") or wanted(file))
    source, documents = context.output("source"), context.output("documents")
    result = ingest(
        files,
        config.max_file_bytes,
        config.rules(),
        rights,
        source,
        documents,
        config.workplace(context),
        context,
    )
    if damaged:
        doubt(place, context.cache)
    described = describe(place, config.revision, history=config.history)
    (source / REPOSITORY).write_text(json.dumps(described) + "\n", encoding="utf-8")
    return made(context, source, documents, result)


def _fingerprint(config: IngestGitConfig, cache: Path | None = None, erased: frozenset[str] = frozenset()) -> str:
    from loresmith.data.git_snapshot import commit_fingerprint

    return config.with_models(
        lambda: commit_fingerprint(Path(config.path), config.revision, config.max_file_bytes, cache)
    )


def _restore_commit(config: IngestGitConfig, outputs: Mapping[str, Path], folder: Path) -> IngestGitConfig:
    from loresmith.data.git_snapshot import restore

    return config.model_copy(update={"path": str(restore(outputs["source"], outputs["documents"], folder))})


def _gone(config: IngestGitConfig, missing: AbstractSet[str], documents: Path) -> AbstractSet[str]:
    """Files alone: which commits there are follows from the newest."""
    from loresmith.data.git_source import HISTORY
    from loresmith.data.gone import gone_files
    from loresmith.data.path_names import path_name

    included, excluded = _patterns(config)

    def wanted(path: str) -> bool:
        name = path_name(path)
        return bool(included.fullmatch(name)) and not excluded.fullmatch(name)

    return gone_files({path for path in missing if not path.startswith(f"{HISTORY}/")}, wanted, documents)


INGEST_GIT = Step(
    name="ingest-git",
    version=8,
    summary="Read a Git repository as of one commit, and if wanted its history, into documents.",
    config=IngestGitConfig,
    inputs={},
    outputs=OUTPUTS,
    run=_ingest_git,
    fingerprint=_fingerprint,
    remembers=True,
    leaves_out_erased=True,
    restore_sources=_restore_commit,
    gone=_gone,
    packages=(*PACKAGES, "dulwich"),
    guess=lambda _config: Guess(seconds=10, peak_bytes=1 << 29, output_bytes=1 << 25),
)
