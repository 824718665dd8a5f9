"""The Python SDK: `from loresmith import Workspace`.

ws = Workspace.open(".")
plan = ws.plan("recipe.yaml")
run = ws.run(plan)
model, tokenizer = ws.releases["stdlib"].model()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from loresmith.errors import UserError, os_failure
from loresmith.factory.plan import Plan, make_plan, read_plan, require_unchanged, stored_plan
from loresmith.factory.recipe import read_recipe
from loresmith.factory.reproduction.report import Reproduction
from loresmith.factory.reproduction.reproduce import reproduce
from loresmith.factory.run import Observer, execute
from loresmith.ledger import Action, Asset, AssetCheck, Ledger, Lineage, LogCheck, Metric, Receipt, ReleaseEvent, Run
from loresmith.ledger.releases import Channel
from loresmith.nearest import unknown_name
from loresmith.sdk.following import follow
from loresmith.sdk.model_costs import RecipeModels, describe_models
from loresmith.sdk.place import Place, find_place, make_place, present_actor
from loresmith.sdk.step_states import Cause, StepState, cause_of, step_states

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Workspace:
    """One ledger with its blobs, and the runs that fill it. Several processes may have it open at once."""

    def __init__(self, place: Place, ledger: Ledger) -> None:
        self.place = place
        self.ledger = ledger
        self._models: dict[str, tuple[PreTrainedModel, PreTrainedTokenizerBase]] = {}

    @classmethod
    def open(cls, folder: str | Path = ".") -> Workspace:
        """Open the workspace that `folder` is in.

        Raises:
            UserError: there is none, or a newer Loresmith has written it.
            Failure: its ledger cannot be read.
        """
        return cls._opened(find_place(Path(folder)), create=False)

    @classmethod
    def init(cls, folder: str | Path) -> Workspace:
        """Make a workspace in a folder, or open the one that is there already."""
        return cls._opened(make_place(Path(folder)), create=True)

    @classmethod
    def _opened(cls, place: Place, *, create: bool) -> Workspace:
        ledger = Ledger.open(
            database=place.database,
            blobs=place.blobs,
            views=place.views,
            key_file=place.key_file,
            actor=present_actor(),
            create=create,
        )
        return cls(place, ledger)

    def close(self) -> None:
        self.ledger.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def plan(self, recipe: str | Path, settings: Sequence[str] = ()) -> Plan:
        """Resolve a recipe file; `settings` are changes such as `steps.base.budget_tokens=2M`."""
        return make_plan(read_recipe(Path(recipe), settings), self.ledger)

    def describe_models(self, recipe: str | Path, settings: Sequence[str] = ()) -> RecipeModels:
        """What the models that a recipe file trains would cost; `settings` as of `plan`."""
        return describe_models(read_recipe(Path(recipe), settings), self.ledger)

    def read_plan(self, path: str | Path) -> Plan:
        """Read a plan file and make sure that what it was made from is unchanged."""
        plan = read_plan(Path(path))
        require_unchanged(plan, self.ledger)
        return plan

    def write_plan(self, plan: Plan, path: str | Path) -> None:
        """Write a plan to a file that `read_plan` and `loresmith run` take."""
        try:
            Path(path).write_text(plan.model_dump_json(indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise os_failure(error) from error

    def run(self, plan: Plan | str | Path, observer: Observer | None = None) -> RunHandle:
        """Carry out a plan, or a recipe file. Returns when all is done; raises what stopped it.

        Raises:
            UserError, Failure: a step refused or failed; what was finished before it is kept.
            Interrupted: Ctrl-C; the next run of the same plan goes on from there.
        """
        if not isinstance(plan, Plan):
            plan = self.plan(plan)
        return RunHandle(self, execute(plan, self.ledger, self.place.state, observer))

    def resume(self, run: str | None = None, observer: Observer | None = None) -> RunHandle:
        """Go on with a run that was interrupted or failed (the newest such run by default)."""
        if run is None:
            unfinished = [found for found in self.ledger.runs.list(limit=100) if found.status in _RESUMABLE]
            if not unfinished:
                raise UserError("there is no interrupted or failed run to resume", hint="`loresmith runs` lists them")
            found = unfinished[0]
        else:
            found = self.ledger.runs.get(run)
        plan = stored_plan(found)
        require_unchanged(plan, self.ledger)
        return self.run(plan, observer)

    @cached_property
    def assets(self) -> Assets:
        """The workspace's assets: `ws.assets["stdlib/base"]`, `ws.assets["stdlib@production"]`, by digest."""
        return Assets(self)

    @cached_property
    def releases(self) -> Releases:
        """The workspace's releases: `ws.releases["stdlib"]`."""
        return Releases(self)

    @cached_property
    def runs(self) -> Runs:
        """The workspace's runs, newest first; `ws.runs[id]`."""
        return Runs(self)

    def loaded_model(self, digest: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """A model and its tokenizer; an adapter comes with its base, which is looked up by the digest it names.

        The one that was asked for last stays in memory while the workspace is open.
        """
        if digest not in self._models:
            from loresmith.models.storage import load_model

            adapter = self.ledger.assets.get(digest).kind == "adapter"
            directory = self.ledger.assets.directory(digest)
            self._models = {digest: self._adapted(directory) if adapter else load_model(directory)}
        return self._models[digest]

    def _adapted(self, adapter: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        from loresmith.models.adapter_storage import base_of, load_adapted

        base = base_of(adapter)
        try:
            directory = self.ledger.assets.directory(base)
        except UserError as error:
            hint = "import it as it was, or merge the adapter where its base is"
            raise UserError(
                f"the base of this adapter, {base}, is not in this workspace", where=str(adapter), hint=hint
            ) from error
        return load_adapted(directory, base, adapter)

    def verify(self) -> LogCheck:
        """Recompute the ledger's Merkle log and hold every row against it."""
        return self.ledger.log.verify()


_RESUMABLE = ("interrupted", "failed")


class AssetHandle:
    """One asset of a workspace."""

    def __init__(self, workspace: Workspace, asset: Asset) -> None:
        self._workspace = workspace
        self._ledger = workspace.ledger
        self.asset = asset

    @property
    def digest(self) -> str:
        return self.asset.digest

    @property
    def directory(self) -> Path:
        """A read-only folder with the asset's files."""
        return self._ledger.assets.directory(self.digest)

    def lineage(self) -> Lineage:
        """Everything that it was made from."""
        return self._ledger.lineage(self.digest)

    def made_by(self) -> Action | None:
        """The action that made it first; None for what was added by hand."""
        makers = [edge.source for edge in self.lineage().edges if edge.target == self.digest]
        actions = [action for action in map(self._ledger.actions.find, makers) if action is not None]
        return min(actions, key=lambda action: action.finished_at, default=None)

    def reproduce(
        self, observer: Observer | None = None, *, threads: int | None = None, keep: bool = False
    ) -> Reproduction:
        """Run its lineage again from its sources; the outcome is put on record as a receipt.

        Args:
            observer: called with every event.
            threads: CPU threads that every step gets; by default, as many as on record.
            keep: leave what was made in the folder that the answer names.

        Raises:
            UserError: no step made it.
            Failure: a step of its lineage fails now, or what it needs is damaged.
            Interrupted: Ctrl-C; the next start goes on from there.
        """
        return reproduce(self._ledger, self.digest, self._workspace.place.state, observer, threads=threads, keep=keep)

    def receipts(self) -> list[Receipt]:
        """The checks that were made on it, the oldest first."""
        return self._ledger.receipts.list(self.digest)

    def verify(self) -> AssetCheck:
        """Hash every file of it again."""
        return self._ledger.assets.verify(self.digest)

    def export(self, target: str | Path) -> Path:
        """Copy its files to a new or empty folder."""
        self._ledger.assets.export(self.digest, Path(target))
        return Path(target)

    def model(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """Load it as a transformers model and tokenizer; an adapter is loaded with its base.

        Raises:
            UserError: it is neither a model nor an adapter, or its base is not here.
        """
        if self.asset.kind not in ("model", "adapter"):
            raise UserError(f"this asset is a {self.asset.kind}, not a model", where=self.digest[:12])
        return self._workspace.loaded_model(self.digest)


class Assets:
    """The assets of a workspace, by any reference."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __getitem__(self, reference: str) -> AssetHandle:
        return AssetHandle(self._workspace, self._workspace.ledger.assets.find(reference))

    def __iter__(self) -> Iterator[AssetHandle]:
        return (AssetHandle(self._workspace, asset) for asset in self._workspace.ledger.assets.list())

    def add(
        self, kind: str, directory: str | Path, metadata: dict[str, Any] | None = None, labels: Sequence[str] = ()
    ) -> AssetHandle:
        """Register a folder of files as an asset; the same content is the same asset."""
        asset = self._workspace.ledger.assets.add(kind, Path(directory), metadata=metadata or {}, labels=tuple(labels))
        return AssetHandle(self._workspace, asset)


class ReleaseHandle:
    """One release: a name whose channels point at assets."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._workspace = workspace
        self.name = name

    def asset(self, channel: str | None = None) -> AssetHandle:
        """What a channel points at; by default `production`, or `candidate` where nothing is in production."""
        return self._workspace.assets[f"{self.name}@{channel}" if channel else self.name]

    def model(self, channel: str | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The released transformers model and its tokenizer."""
        return self.asset(channel).model()

    def promote(self, asset: str, channel: Channel = "production", because: str = "") -> ReleaseEvent:
        """Point a channel at an asset, by any reference."""
        digest = self._workspace.ledger.assets.find(asset).digest
        return self._workspace.ledger.releases.promote(self.name, digest, channel, reason=because)

    def rollback(self, channel: Channel = "production", because: str = "") -> ReleaseEvent:
        """Point a channel back at its previous target, if that still verifies."""
        return self._workspace.ledger.releases.rollback(self.name, channel, reason=because)

    def history(self) -> list[ReleaseEvent]:
        """Every promotion and rollback, oldest first."""
        return self._workspace.ledger.releases.history(self.name)


class Releases:
    """The releases of a workspace, by name."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __getitem__(self, name: str) -> ReleaseHandle:
        known = set(self)
        if name not in known:
            raise UserError(unknown_name("release", name, known), hint="`loresmith releases ls` lists them")
        return ReleaseHandle(self._workspace, name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({release.name for release in self._workspace.ledger.releases.list()}))

    def promote(self, name: str, asset: str, channel: Channel = "production", because: str = "") -> ReleaseEvent:
        """Promote an asset under a name that may be new."""
        return ReleaseHandle(self._workspace, name).promote(asset, channel, because)


class RunHandle:
    """One run."""

    def __init__(self, workspace: Workspace, run: str) -> None:
        self._workspace = workspace
        self.id = run

    @property
    def record(self) -> Run:
        """The run as the ledger has it now, with its status."""
        return self._workspace.ledger.runs.get(self.id)

    @property
    def status(self) -> str:
        return self.record.status

    @property
    def folder(self) -> Path:
        """Its logs and events."""
        return self._workspace.place.state / "runs" / self.id

    def plan(self) -> Plan:
        return stored_plan(self.record)

    def steps(self) -> tuple[StepState, ...]:
        """How far each step of its plan is, in running order."""
        numbers: dict[str, dict[str, float]] = {}
        for metric in self._workspace.ledger.runs.metrics(self.id):
            numbers.setdefault(metric.step, {})[metric.name] = metric.value
        record = self.record
        events = self._workspace.ledger.runs.events(self.id)
        return step_states(stored_plan(record), record.status, events, numbers, self._workspace.ledger)

    @property
    def cause(self) -> Cause | None:
        """What stopped it, if it failed or was interrupted and said so."""
        ends = [event for event in self._workspace.ledger.runs.events(self.id) if event.kind in _RESUMABLE]
        return cause_of(ends[-1]) if ends else None

    def follow(self, pause: float = 0.5) -> Iterator[Mapping[str, Any]]:
        """Its events, past and to come, until it no longer runs; `pause` is in seconds.

        They have the form in which an observer of `Workspace.run` gets them.
        """
        return follow(self._workspace.ledger, self.id, self.folder / "events.jsonl", pause)

    def actions(self) -> dict[str, Action]:
        """What was done for each finished step of its plan, by this run or by an earlier one, in plan order."""
        keys = {
            event.step: event.data["key"]
            for event in self._workspace.ledger.runs.events(self.id)
            if event.kind in ("step-cached", "step-finished") and event.step is not None
        }
        found = {step: self._workspace.ledger.actions.find(key) for step, key in keys.items()}
        return {step: action for step, action in found.items() if action is not None}

    def metrics(self, step: str, name: str | None = None) -> list[Metric]:
        """A step's numbers in order of position, over all runs that worked on the same action.

        A run that goes on from a checkpoint repeats what came after it; the newest row of a position counts.
        """
        runs = self._workspace.ledger.runs
        action = self.actions().get(step)
        workers = runs.working_on(action.key) if action is not None else [(self.id, step)]
        latest: dict[tuple[str, float], Metric] = {}
        for run, name_there in workers:
            for metric in runs.metrics(run, name_there, name):
                latest[metric.name, metric.position] = metric
        return sorted(latest.values(), key=lambda metric: (metric.name, metric.position))


class Runs:
    """The runs of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __getitem__(self, run: str) -> RunHandle:
        return RunHandle(self._workspace, self._workspace.ledger.runs.get(run).id)

    def __iter__(self) -> Iterator[RunHandle]:
        return (RunHandle(self._workspace, run.id) for run in self._workspace.ledger.runs.list(limit=None))
