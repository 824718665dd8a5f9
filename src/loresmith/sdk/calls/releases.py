"""Releases: point their channels at assets, back again, and see what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from loresmith.ledger import Release, ReleaseEvent
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.assets import REFERENCE

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace

Channel = Literal["candidate", "production"]


class ListRequest(Request):
    """What `releases ls` takes: nothing."""


class ReleaseList(Answer):
    """All releases."""

    releases: tuple[Release, ...] = Field(description="By name.")


class PromoteRequest(Request):
    """What `releases promote` takes."""

    name: str = Field(description="The release; it may be new.", json_schema_extra={"positional": True})
    asset: str = Field(description=REFERENCE, json_schema_extra={"positional": True})
    because: str = Field(description="Why, in your words; it stays on the record.")
    channel: Channel = Field(default="production", description="The channel that is to point at the asset.")


class RollbackRequest(Request):
    """What `releases rollback` takes."""

    name: str = Field(description="The release.", json_schema_extra={"positional": True})
    because: str = Field(description="Why, in your words; it stays on the record.")
    channel: Channel = Field(default="production", description="The channel that is to point back.")


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
    return ReleaseList(releases=tuple(workspace.ledger.releases.list()))


def _promote(workspace: Workspace, request: PromoteRequest, _emit: Emit) -> EventAnswer:
    event = workspace.releases.promote(request.name, request.asset, request.channel, request.because)
    return EventAnswer(event=event)


def _rollback(workspace: Workspace, request: RollbackRequest, _emit: Emit) -> EventAnswer:
    return EventAnswer(event=workspace.releases[request.name].rollback(request.channel, request.because))


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
