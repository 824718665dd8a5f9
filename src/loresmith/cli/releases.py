"""`loresmith releases`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.screen import Screen, moment, short
from loresmith.sdk.call import Request
from loresmith.sdk.calls.releases import (
    HISTORY,
    LS,
    PROMOTE,
    ROLLBACK,
    EventAnswer,
    History,
    HistoryRequest,
    ListRequest,
    ReleaseList,
)


def _show_list(answer: ReleaseList, _request: ListRequest, screen: Screen) -> None:
    if not answer.releases:
        screen.line("no releases; `loresmith releases promote` makes one, and so does a recipe with `release:`")
        return
    screen.table(
        ("release", "channel", "asset", ""),
        (
            (release.name, channel, short(digest), answer.marks.get(digest, ""))
            for release in answer.releases
            for channel, digest in release.channels.items()
        ),
    )


def _show_event(answer: EventAnswer, _request: Request, screen: Screen) -> None:
    event = answer.event
    before = f", before {short(event.previous)}" if event.previous else ""
    screen.line(f"{event.name}@{event.channel} is now {short(event.asset)}{before} (leaf {event.index} of the log)")


def _show_history(answer: History, _request: HistoryRequest, screen: Screen) -> None:
    screen.table(
        ("when", "what", "channel", "asset", "by", "because"),
        (
            (moment(event.at), event.action, event.channel, short(event.asset), event.actor, event.reason)
            for event in answer.events
        ),
    )


COMMANDS = {
    "releases": noun(
        "releases",
        "Releases: list, promote, roll back, show their history.",
        command(LS, _show_list),
        command(PROMOTE, _show_event),
        command(ROLLBACK, _show_event),
        command(HISTORY, _show_history),
    )
}
