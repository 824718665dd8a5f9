"""`loresmith serve`, for people and for programs that start it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loresmith.cli.command import bare_command, make_request
from loresmith.cli.screen import print_json
from loresmith.sdk.calls.serve import SERVE, ServeRequest


def _serve(workspace: Path | None, as_json: bool, **given: Any) -> int:
    request: ServeRequest = make_request(ServeRequest, given)
    answer = SERVE.perform(workspace or Path(), request, _as_json if as_json else _say)
    if as_json:
        print_json(answer)
    return 0


def _as_json(event: Mapping[str, Any]) -> None:
    """One line an event, so that a program learns the address."""
    print(json.dumps(event), flush=True)


def _say(event: Mapping[str, Any]) -> None:
    if event["event"] == "started":
        print(f"serving {', '.join(event['models'])} at {event['address']}/v1", flush=True)
        print("callers need a key: `loresmith keys create user:NAME --because ...`; Ctrl-C ends it", flush=True)
    else:
        print(event["text"], flush=True)


COMMANDS = {"serve": bare_command(SERVE, _serve)}
