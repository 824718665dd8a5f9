"""The Python SDK: `from loresmith import Workspace`.

ws = Workspace.open(".")
plan = ws.plan("recipe.yaml")
run = ws.run(plan)
model, tokenizer = ws.releases["stdlib"].model()
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from loresmith.errors import UserError, os_failure
from loresmith.factory.inputs import require_undamaged
from loresmith.factory.plan import Plan, make_plan, read_plan, require_unchanged, stored_plan
from loresmith.factory.recipe import read_recipe
from loresmith.factory.run import CACHES, Observer, execute
from loresmith.ledger import Ledger, LogCheck
from loresmith.sdk.assets import Assets
from loresmith.sdk.model_costs import RecipeModels, describe_models
from loresmith.sdk.place import Place, find_place, make_place, present_actor
from loresmith.sdk.releases import Releases
from loresmith.sdk.runs import RESUMABLE, RunHandle, Runs
from loresmith.sdk.submission import require_here

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

    @property
    def _caches(self) -> Path:
        return self.place.state / CACHES

    def plan(self, recipe: str | Path, settings: Sequence[str] = ()) -> Plan:
        """Resolve a recipe file; `settings` are changes such as `steps.base.budget_tokens=2M`."""
        return make_plan(read_recipe(Path(recipe), settings), self.ledger, self._caches)

    def describe_models(self, recipe: str | Path, settings: Sequence[str] = ()) -> RecipeModels:
        """What the models that a recipe file trains would cost; `settings` as of `plan`."""
        return describe_models(read_recipe(Path(recipe), settings), self.ledger)

    def read_plan(self, path: str | Path) -> Plan:
        """Read a plan file and make sure that what it was made from is unchanged."""
        plan = read_plan(Path(path))
        require_unchanged(plan, self.ledger, self._caches)
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
            UserError, Failure: a step refused or failed; what was finished before it is kept. Or it is for a cluster's
                queue: then the script that submits it is written, and its place said.
            Interrupted: Ctrl-C; the next run of the same plan goes on from there.
        """
        if not isinstance(plan, Plan):
            plan = self.plan(plan)
        require_here(plan, self.place.folder, self.place.state)
        return RunHandle(self, execute(plan, self.ledger, self.place.state, observer))

    def resume(self, run: str | None = None, observer: Observer | None = None) -> RunHandle:
        """Go on with a run that was interrupted or failed (the newest such run by default)."""
        if run is None:
            unfinished = [found for found in self.ledger.runs.list(limit=100) if found.status in RESUMABLE]
            if not unfinished:
                raise UserError("there is no interrupted or failed run to resume", hint="`loresmith runs` lists them")
            found = unfinished[0]
        else:
            found = self.ledger.runs.get(run)
        plan = stored_plan(found)
        require_unchanged(plan, self.ledger, self._caches)
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
            require_undamaged(self.ledger, digest, "the model", f"asset {digest[:12]}")
            directory = self.ledger.assets.directory(digest)
            self._models = {digest: self._adapted(directory) if adapter else load_model(directory)}
        return self._models[digest]

    def _adapted(self, adapter: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        from loresmith.models.adapter_storage import base_of, load_adapted

        base = base_of(adapter)
        try:
            require_undamaged(self.ledger, base, "the adapter's base", f"asset {base[:12]}")
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
