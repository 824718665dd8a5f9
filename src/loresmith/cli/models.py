"""`loresmith complete` and `loresmith chat`, for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from loresmith.cli.command import bare_command, command, make_request
from loresmith.cli.gateway_client import is_address
from loresmith.cli.screen import Screen, print_json
from loresmith.errors import UserError
from loresmith.sdk.call import Emit
from loresmith.sdk.calls.models import CHAT, COMPLETE, ChatRequest, CompleteAnswer, CompleteRequest
from loresmith.sdk.workspace import Workspace


@contextmanager
def _stream(request: CompleteRequest) -> Iterator[Emit]:
    """Show text as it is written; on a terminal after the prompt, so that it reads as one."""
    if sys.stdout.isatty():
        _say({"event": "text", "text": request.prompt})
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
    if request.message is None and as_json:
        raise UserError("a conversation is for people", where="--json", hint="say one thing with --message")
    if is_address(request.release):
        return _chat_with_gateway(request, as_json)
    with Workspace.open(workspace or Path()) as opened:
        if request.message is not None:
            answer = CHAT.run(opened, request, _unsaid if as_json else _say)
            if as_json:
                print_json(answer)
            else:
                Screen().line()
            return 0
        _converse(opened, request)
    return 0


def _chat_with_gateway(request: ChatRequest, as_json: bool) -> int:
    from loresmith.cli.gateway_chat import GatewayChat, show

    chat = GatewayChat(request)
    if request.message is None:
        return chat.converse(_lines())
    answer = chat.say(request.message, _unheard if as_json else show)
    if as_json:
        print_json(answer)
    else:
        print("", *chat.sources(), sep="\n", flush=True)
    return 0


def _unheard(_text: str) -> None:
    pass


def _converse(workspace: Workspace, request: ChatRequest) -> None:
    """One line a turn, until the end of the input."""
    for said in _lines():
        if not said.strip():
            continue
        turn = request.model_copy(update={"message": said})
        answer = CHAT.run(workspace, turn, _say)
        print(flush=True)
        request = request.model_copy(update={"history": answer.messages})


def _lines() -> Iterator[str]:
    """What is typed, with a prompt and the usual keys to edit it, or the lines of a pipe."""
    if not sys.stdin.isatty():
        yield from (line.rstrip("\n") for line in sys.stdin)
        return
    with suppress(ImportError):
        import readline  # noqa: F401 - gives `input` its keys
    with suppress(EOFError):
        while True:
            yield input("> ")


COMMANDS = {"complete": command(COMPLETE, _end, live=_stream), "chat": bare_command(CHAT, _chat)}
