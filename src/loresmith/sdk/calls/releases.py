"""Releases: point their channels at assets, back again, and see what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from loresmith.factory.step import AssetKind
from loresmith.ledger import Release, ReleaseEvent
from loresmith.ledger.erasures import effect_of
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.assets import REFERENCE

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace

Channel = Literal["candidate", "production"]

ALTHOUGH_TAINTED = (
    "Why an asset may be used that was made from documents which have since been erased; it stays on the record."
)


class ListRequest(Request):
    """What `releases ls` takes: nothing."""


class ReleaseList(Answer):
    """All releases."""

    releases: tuple[Release, ...] = Field(description="By name.")
    marks: dict[str, Literal["", "erased", "tainted"]] = Field(
        description="What erasures did to the assets that channels point at, by digest; only those that were touched."
    )


class PromoteRequest(Request):
    """What `releases promote` takes."""

    name: str = Field(description="The release; it may be new.", json_schema_extra={"positional": True})
    asset: str = Field(description=REFERENCE, json_schema_extra={"positional": True})
    because: str = Field(description="Why, in your words; it stays on the record.")
    channel: Channel = Field(default="production", description="The channel that is to point at the asset.")
    although_tainted: str | None = Field(default=None, min_length=1, description=ALTHOUGH_TAINTED)
    kind: AssetKind | None = Field(
        default=None,
        description="What kind of asset is meant, where it is no model, adapter or bundle, such as a corpus.",
    )


class RollbackRequest(Request):
    """What `releases rollback` takes."""

    name: str = Field(description="The release.", json_schema_extra={"positional": True})
    because: str = Field(description="Why, in your words; it stays on the record.")
    channel: Channel = Field(default="production", description="The channel that is to point back.")
    although_tainted: str | None = Field(default=None, min_length=1, description=ALTHOUGH_TAINTED)


class EventAnswer(Answer):
    """What was done."""

    event: ReleaseEvent = Field(description="The event, as it is on the record.")


class HistoryRequest(Request):
    """What `releases history` takes."""

    name: str = Field(description="The release.", json_schema_extra={"positional": True})


class History(Answer):
    """All that happened to a release."""

    events: tuple[ReleaseEvent, ...] = Field(description="Every promotion and rollback, the oldest first.")


def _list(workspace: Workspace, _request: ListRequest, _emit: Emit) -> ReleaseList:
    releases, marks = tuple(workspace.ledger.releases.list()), workspace.ledger.erasures.marks()
    targets = {digest for release in releases for digest in release.channels.values()}
    return ReleaseList(
        releases=releases, marks={digest: effect_of(marks[digest]) for digest in sorted(targets & marks.keys())}
    )


def _promote(workspace: Workspace, request: PromoteRequest, _emit: Emit) -> EventAnswer:
    event = workspace.releases.promote(
        request.name, request.asset, request.channel, request.because, request.although_tainted or "", request.kind
    )
    return EventAnswer(event=event)


def _rollback(workspace: Workspace, request: RollbackRequest, _emit: Emit) -> EventAnswer:
    release = workspace.releases[request.name]
    return EventAnswer(event=release.rollback(request.channel, request.because, request.although_tainted or ""))


def _history(workspace: Workspace, request: HistoryRequest, _emit: Emit) -> History:
    return History(events=tuple(workspace.releases[request.name].history()))


LS = Call("releases ls", "List the releases and what their channels point at.", ListRequest, ReleaseList, _list)
PROMOTE = Call(
    "releases promote",
    "Point a channel of a release at an asset.",
    PromoteRequest,
    EventAnswer,
    _promote,
    example='releases promote stdlib stdlib/base --because "better on held-out text"',
)
ROLLBACK = Call(
    "releases rollback",
    "Point a channel back at its previous target, if that still verifies.",
    RollbackRequest,
    EventAnswer,
    _rollback,
    example='releases rollback stdlib --because "answers got worse"',
)
HISTORY = Call(
    "releases history",
    "Show every promotion and rollback of a release, with who, when and why.",
    HistoryRequest,
    History,
    _history,
    example="releases history stdlib",
)
