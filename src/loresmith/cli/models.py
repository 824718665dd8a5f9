"""`loresmith complete` and `loresmith chat`, for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loresmith.cli.command import bare_command, command, make_request
from loresmith.cli.screen import Screen, print_json
from loresmith.errors import UserError
from loresmith.sdk.call import Emit
from loresmith.sdk.calls.models import CHAT, COMPLETE, ChatRequest, CompleteAnswer, CompleteRequest
from loresmith.sdk.workspace import Workspace


@contextmanager
def _stream() -> Iterator[Emit]:
    """Show text as it is written."""
    yield _say


def _say(event: Mapping[str, Any]) -> None:
    if event["event"] == "text":
        sys.stdout.write(event["text"])
        sys.stdout.flush()


def _unsaid(_event: Mapping[str, Any]) -> None:
    pass


def _end(_answer: CompleteAnswer, _request: CompleteRequest, screen: Screen) -> None:
    screen.line()


def _chat(workspace: Path | None, as_json: bool, **given: Any) -> int:
    request: ChatRequest = make_request(ChatRequest, given)
    with Workspace.open(workspace or Path()) as opened:
        if request.message is not None or as_json:
            if request.message is None:
                raise UserError("a conversation is for people", where="--json", hint="say one thing with --message")
            answer = CHAT.run(opened, request, _unsaid if as_json else _say)
            if as_json:
                print_json(answer)
            else:
                Screen().line()
            return 0
        _converse(opened, request)
    return 0


def _converse(workspace: Workspace, request: ChatRequest) -> None:
    """One line a turn, until the end of the input."""
    while True:
        if sys.stdin.isatty():
            print("> ", end="", flush=True)
        said = sys.stdin.readline()
        if not said:
            return
        if not said.strip():
            continue
        turn = request.model_copy(update={"message": said.rstrip("\n")})
        answer = CHAT.run(workspace, turn, _say)
        print(flush=True)
        request = request.model_copy(update={"history": answer.messages})


COMMANDS = {"complete": command(COMPLETE, _end, live=_stream), "chat": bare_command(CHAT, _chat)}
