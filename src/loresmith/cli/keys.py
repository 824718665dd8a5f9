"""`loresmith keys`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.screen import Screen, moment
from loresmith.sdk.call import Request
from loresmith.sdk.calls.keys import CREATE, LS, REVOKE, ROTATE, KeyAnswer, KeyList, ListRequest, Secret


def _show_list(answer: KeyList, _request: ListRequest, screen: Screen) -> None:
    if not answer.keys:
        screen.line("no keys; `loresmith keys create user:NAME` makes one")
        return
    screen.table(
        ("key", "for", "groups", "status", "expires", "because"),
        (
            (key.key, key.principal, ", ".join(key.groups), key.status, moment(key.expires_at), key.reason)
            for key in answer.keys
        ),
    )


def _show_secret(answer: Secret, _request: Request, screen: Screen) -> None:
    key = answer.key
    screen.line(answer.secret, style="bold")
    screen.line(f"key {key.key} for {key.principal}, good until {moment(key.expires_at)}; it is not shown again")
    if key.previous_until is not None:
        screen.line(f"the secret before it is good until {moment(key.previous_until)}")


def _show_revoked(answer: KeyAnswer, _request: Request, screen: Screen) -> None:
    screen.line(f"key {answer.key.key} of {answer.key.principal} is worthless; running gateways know within 5 seconds")


COMMANDS = {
    "keys": noun(
        "keys",
        "API keys of the gateway's callers: create, list, revoke, rotate.",
        command(LS, _show_list),
        command(CREATE, _show_secret),
        command(REVOKE, _show_revoked),
        command(ROTATE, _show_secret),
    )
}
