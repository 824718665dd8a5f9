"""The assets of a workspace, as the SDK hands them out: `ws.assets["stdlib/base"]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.errors import UserError
from loresmith.factory.plan import make_plan
from loresmith.factory.reproduction.report import Reproduction
from loresmith.factory.reproduction.reproduce import reproduce
from loresmith.factory.run import Observer
from loresmith.factory.standing import checks_of_added
from loresmith.ledger import Action, Asset, AssetCheck, Lineage, Receipt
from loresmith.models.base_source import BaseSource
from loresmith.nearest import with_article
from loresmith.sdk.base_models import bring_in
from loresmith.validation import validate

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from loresmith.sdk.readiness import ReadinessReport
    from loresmith.sdk.workspace import Workspace


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

    def readiness(
        self,
        observer: Observer | None = None,
        *,
        tokenizer: str | None = None,
        pilot: bool = True,
        settings: Sequence[str] = (),
    ) -> ReadinessReport:
        """What it is enough for, if it is a corpus; see `report_readiness`."""
        from loresmith.sdk.readiness import report_readiness

        return report_readiness(
            self._workspace, self.digest, observer, tokenizer=tokenizer, pilot=pilot, settings=settings
        )

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
            raise UserError(f"this asset is {with_article(self.asset.kind)}, not a model", where=self.digest[:12])
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
        self,
        kind: str,
        directory: str | Path,
        metadata: dict[str, Any] | None = None,
        labels: Sequence[str] = (),
        observer: Observer | None = None,
    ) -> AssetHandle:
        """Register a folder of files as an asset; the same content is the same asset.

        As when a recipe makes one, a corpus is held against the evaluation suites of the workspace, and a suite against
        its corpora: a run, whose findings are receipts on both.

        Args:
            observer: called with every event of that run.

        Raises:
            UserError: the folder is missing, holds no file, or holds something that is not a file; or a suite is none,
                and the asset is registered.
            Failure: a file cannot be read, or the check fails; the asset is registered then.
            Interrupted: Ctrl-C; the asset is registered, and adding it again goes on with the check.
        """
        ledger = self._workspace.ledger
        asset = ledger.assets.add(kind, Path(directory), metadata=metadata or {}, labels=tuple(labels))
        for check in checks_of_added(asset, ledger):
            self._workspace.run(make_plan(check, ledger), observer)
        return AssetHandle(self._workspace, asset)

    def import_model(self, path: str | Path | None = None, **settings: Any) -> tuple[AssetHandle, AssetHandle]:
        """Bring in a base model; returns it and its tokenizer, which `pack` takes.

        Args:
            path: a Hugging Face folder, a safetensors file beside its config.json, or a GGUF file.
            settings: the others of the step `import-model`, such as `smollm2=True`.

        Raises:
            UserError: there is none, or it cannot be taken; the file is named.
            Failure: the hub cannot be reached.
        """
        said = {"path": str(path), **settings} if path is not None else settings
        source = validate(BaseSource, said, {}, "import_model")
        found = bring_in(self._workspace, source, lambda _what: None)
        return AssetHandle(self._workspace, found.model), AssetHandle(self._workspace, found.tokenizer)
