"""What a recipe's `curate` steps would do, tried on a sample of their documents; nothing of it enters the ledger."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.data.preview.previewed import StepPreview
from loresmith.errors import UserError
from loresmith.factory.context import WorkerContext
from loresmith.factory.events import NoEvents
from loresmith.factory.inputs import input_asset
from loresmith.factory.plan import Plan, make_plan
from loresmith.factory.planned import PlannedStep
from loresmith.factory.recipe import Recipe, RecipeStep
from loresmith.factory.reproduction.scratch import discard, scratch
from loresmith.factory.run import CACHES, default_threads
from loresmith.factory.step import InputAsset
from loresmith.nearest import unknown_name, with_article

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace

CURATE, INGEST = "curate", "ingest"

FOLDER = "work"
"""In the workspace's own folder: where samples lie while they are looked at, and where an erasure removes them if a
preview was killed."""


class Previewer:
    """Tries the `curate` steps of a recipe.

    Args:
        documents: how many are looked at, at most.
        files: how many are read where documents are not there yet; None: as many as documents.
        examples: of each rule, at most.
        on: the day on which it would run; None: today.
    """

    def __init__(
        self,
        workspace: Workspace,
        recipe: Recipe,
        documents: int,
        files: int | None,
        examples: int,
        on: date | None = None,
    ) -> None:
        from loresmith.data.retention import today

        self._on = on or today()
        self._workspace = workspace
        self._recipe = recipe
        self._documents = documents
        self._files = files
        self._examples = examples

    def steps(self, name: str | None) -> Iterator[StepPreview]:
        """One after the other.

        Args:
            name: of one step; None: all that curate.

        Raises:
            UserError: no step curates, or what it curates is neither there nor made of files.
        """
        wanted = _steps_that_curate(self._recipe, name)
        plan = make_plan(_only_needed(self._recipe, wanted), self._workspace.ledger, self._state / CACHES)
        planned = {step.name: step for step in plan.steps}
        for step in wanted:
            with self._scratch() as folder:
                yield self._preview(step, planned, plan, folder)

    @property
    def _state(self) -> Path:
        return self._workspace.place.state

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder that is removed at the end; what was left of a preview that was killed is removed first."""
        with scratch(self._state / FOLDER, "preview", secrets.token_hex(8)) as folder:
            try:
                yield folder
            finally:
                discard(folder)

    def _preview(self, step: RecipeStep, planned: Mapping[str, PlannedStep], plan: Plan, folder: Path) -> StepPreview:
        from loresmith.data.preview.choosing import choose_documents
        from loresmith.data.preview.nothing_left import outcome_of_nothing
        from loresmith.data.preview.preview import preview_of
        from loresmith.data.retention import overdue
        from loresmith.data.steps.curate import CurateConfig

        inputs, left_out = self._inputs(step, planned)
        chosen = in_all = 0
        unread: dict[str, int] = {}
        given = inputs.get("documents")
        if given is not None:
            if self._files is not None:
                raise UserError(
                    "the documents are there already, and no file is read for a preview",
                    where="--files",
                    hint="--documents says how many of them are looked at",
                )
            directory = given.directory
        else:
            producer = self._recipe.steps[str(planned[step.name].inputs["documents"].step)]
            directory, chosen, in_all, unread = self._read_files(producer, folder / "reading")
        sample = folder / "sample"
        sample.mkdir()
        documents = choose_documents(directory, sample, self._documents)
        if given is not None:
            in_all = documents
        context = self._context(folder / "curation", step.step.name, threads=1)
        # What is held out changes nothing of what becomes of documents, and a sample may have too few for it.
        assert isinstance(step.config, CurateConfig)
        config = step.config.model_copy(update={"validation_share": 0.0, "test_share": 0.0})
        late = overdue(directory, self._on) if config.as_of is None else None
        if late is not None:
            config = config.model_copy(update={"as_of": self._on})
        inputs["documents"] = InputAsset("", "documents", sample, {}, ())
        rules = config.rules()
        corpus = context.output("corpus")
        try:
            made = step.step.run(context, config, inputs).outputs["corpus"]
            findings: Mapping[str, int] = made.metadata.get("privacy_findings", {})
        except UserError:
            decided = outcome_of_nothing(sample, context.work / "curation", rules, corpus)
            if decided is None:
                raise
            findings = decided
        looked_at = _rows(sample)
        whole = looked_at == documents and (given is not None or chosen == in_all)
        preview = preview_of(sample, corpus, rules, findings, self._examples, whole=whole)
        return StepPreview(
            **dict(preview),
            step=step.name,
            source="documents" if given is not None else "files",
            asset=given.digest if given is not None else None,
            chosen=looked_at if given is not None else chosen,
            in_all=in_all,
            unread=unread,
            whole=whole,
            left_out=tuple(left_out),
            overdue=f"{late.sentence}; {late.hint}" if late is not None else "",
        )

    def _inputs(self, step: RecipeStep, planned: Mapping[str, PlannedStep]) -> tuple[dict[str, InputAsset], list[str]]:
        """The inputs that are there, and the names of those that are not and need not be; documents may be read."""
        inputs = {}
        left_out = []
        for role, source in planned[step.name].inputs.items():
            digest = source.asset
            if digest is None and source.step is not None:
                digest = planned[source.step].outputs.get(source.output or "")
            if digest is not None:
                inputs[role] = input_asset(self._workspace.ledger, step.name, role, digest)
            elif role != "documents":
                left_out.append(role)
        return inputs, left_out

    def _read_files(self, producer: RecipeStep, folder: Path) -> tuple[Path, int, int, dict[str, int]]:
        """Read a sample of the files that a step would read; returns the documents, how many files were chosen and are
        there, and what could not be read."""
        if producer.step.name != INGEST:
            raise UserError(
                f"its documents come from {producer.name!r}, {with_article(producer.step.name)} step, and are not "
                f"there yet; samples are read of the files of {INGEST} steps only",
                where=self._recipe.where("steps", producer.name),
                hint="run the recipe once as it is: then the preview has them, and whatever is changed in `curate`",
            )
        from loresmith.data.ingest import ingest
        from loresmith.data.preview.choosing import choose_files
        from loresmith.data.steps.ingest import IngestConfig

        config = producer.config
        assert isinstance(config, IngestConfig)
        context = self._context(folder, producer.step.name, self._recipe.compute.threads or default_threads())
        everything = config.selection().files()
        files, in_all = choose_files(everything, self._files or self._documents)
        source, documents = context.output("source"), context.output("documents")
        rights, workplace = config.rights(everything), config.workplace(context)
        done = ingest(files, config.max_file_bytes, config.rules(), rights, source, documents, workplace, context)
        return documents, len(files), in_all, dict(done.quarantined)

    def _context(self, folder: Path, step: str, threads: int) -> WorkerContext:
        ledger = self._workspace.ledger
        return WorkerContext(
            folder,
            self._recipe.seed,
            threads,
            NoEvents(),
            self._state / CACHES / step,
            ledger.blobs.folder,
            erased=ledger.erasures.known(),
        )


def _steps_that_curate(recipe: Recipe, name: str | None) -> Sequence[RecipeStep]:
    found = {step.name: step for step in recipe.steps.values() if step.step.name == CURATE}
    if name is None:
        if not found:
            kinds = ", ".join(f"{step.name} ({step.step.name})" for step in recipe.steps.values())
            raise UserError(
                f"no step of this recipe is a `{CURATE}` step, and there is nothing to preview: {kinds}",
                where=recipe.written.source,
            )
        return list(found.values())
    if name not in recipe.steps:
        raise UserError(unknown_name("step", name, found or recipe.steps), where="--step")
    if name not in found:
        kind = recipe.steps[name].step.name
        raise UserError(f"{name!r} is a `{kind}` step, and only `{CURATE}` steps have a preview", where="--step")
    return [found[name]]


def _only_needed(recipe: Recipe, wanted: Sequence[RecipeStep]) -> Recipe:
    """The recipe with some steps and those that they need."""
    needed = {step.name for step in wanted}
    for step in reversed(list(recipe.steps.values())):
        if step.name in needed:
            needed |= {reference.partition(".")[0] for reference in step.inputs.values()}
    steps = {name: step for name, step in recipe.steps.items() if name in needed}
    return replace(recipe, steps=steps, release=None)


def _rows(sample: Path) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(path).num_rows for path in sample.glob("documents-*.parquet"))
