"""The releases of a workspace, as the SDK hands them out: `ws.releases["stdlib"]`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from loresmith.errors import UserError
from loresmith.ledger import ReleaseEvent
from loresmith.ledger.releases import Channel
from loresmith.nearest import unknown_name, with_article

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from loresmith.ledger import Asset
    from loresmith.sdk.assets import AssetHandle
    from loresmith.sdk.workspace import Workspace

SERVED = ("model", "adapter", "bundle")
"""Kinds of assets that a release is of unless it is said otherwise: what answers somebody in the end."""


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

    def promote(
        self,
        asset: str,
        channel: Channel = "production",
        because: str = "",
        although_tainted: str = "",
        kind: str | None = None,
    ) -> ReleaseEvent:
        """Point a channel at an asset, by any reference.

        Args:
            although_tainted: why it may be used, though it was made from documents that have since been erased.
            kind: what the release is of, where that is none of `SERVED`.

        Raises:
            UserError: it is of another kind than a release is of, or than this one was of before.
        """
        ledger = self._workspace.ledger
        found = ledger.assets.find(asset, kind)
        self._require_kind(found, asset, kind)
        return ledger.releases.promote(self.name, found.digest, channel, because, although_tainted)

    def _require_kind(self, asset: Asset, called: str, kind: str | None) -> None:
        if asset.kind == kind or (kind is None and asset.kind in SERVED):
            return
        if kind is not None:
            what = f"{called} is {with_article(asset.kind)}, not {with_article(kind)}"
            raise UserError(what, where=f"release {self.name!r}")
        ledger = self._workspace.ledger
        events = ledger.releases.history(self.name) if self.name in set(self._workspace.releases) else []
        if asset.kind not in {ledger.assets.get(event.asset).kind for event in events}:
            raise UserError(
                f"{called} is {with_article(asset.kind)}, and what is released is a model, an adapter or a bundle",
                where=f"release {self.name!r}",
                hint=f"if {with_article(asset.kind)} is meant, say `--kind {asset.kind}`; from then on this release "
                "may be of one",
            )

    def rollback(self, channel: Channel = "production", because: str = "", although_tainted: str = "") -> ReleaseEvent:
        """Point a channel back at its previous target, if that still verifies; `although_tainted` as of `promote`."""
        return self._workspace.ledger.releases.rollback(self.name, channel, because, although_tainted)

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

    def promote(
        self,
        name: str,
        asset: str,
        channel: Channel = "production",
        because: str = "",
        although_tainted: str = "",
        kind: str | None = None,
    ) -> ReleaseEvent:
        """Promote an asset under a name that may be new; arguments as of `ReleaseHandle.promote`."""
        return ReleaseHandle(self._workspace, name).promote(asset, channel, because, although_tainted, kind)
