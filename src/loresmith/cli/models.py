"""`loresmith complete` and `loresmith chat`, for people."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from loresmith.cli.command import bare_command, command, make_request
from loresmith.cli.gateway_client import is_address
from loresmith.cli.screen import Screen, print_json
from loresmith.cli.terminal_chat import Speaker, TerminalChat, show, source_lines
from loresmith.errors import UserError
from loresmith.sdk.call import Emit
from loresmith.sdk.calls.models import (
    CHAT,
    COMPLETE,
    AnswerSource,
    ChatRequest,
    CompleteAnswer,
    CompleteRequest,
    Message,
    talking_model,
)
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


def _end(_answer: CompleteAnswer, _request: CompleteRequest, screen: Screen) -> None:
    screen.line()


def _chat(workspace: Path | None, as_json: bool, **given: Any) -> int:
    request: ChatRequest = make_request(ChatRequest, given)
    if request.message is None and as_json:
        raise UserError("a conversation is for people", where="--json", hint="say one thing with --message")
    if is_address(request.release):
        from loresmith.cli.gateway_chat import GatewaySpeaker

        return _talk(request, GatewaySpeaker(request), as_json)
    if ":" in request.release:  # which no reference to an asset has
        raise UserError("this is no release", where=request.release, hint=f"a gateway's is http://{request.release}")
    with Workspace.open(workspace or Path()) as opened:
        return _talk(request, _LocalSpeaker(opened, request), as_json)


class _LocalSpeaker:
    """A model of this workspace, which is loaded before anything is said, and answers to the end of the conversation
    wherever its release points meanwhile.

    Raises:
        UserError: there is none that is meant, or it holds no conversations.
    """

    def __init__(self, workspace: Workspace, request: ChatRequest) -> None:
        self._workspace = workspace
        self.name = talking_model(workspace, request).digest
        self._request = request.model_copy(update={"release": self.name, "channel": None})

    def answer(self, messages: Sequence[Message], show: Callable[[str], None]) -> None:
        *history, last = messages
        turn = self._request.model_copy(update={"history": tuple(history), "message": last.content})
        CHAT.run(self._workspace, turn, lambda event: show(event["text"]) if event["event"] == "text" else None)

    @property
    def sources(self) -> tuple[AnswerSource, ...]:
        return ()


def _talk(request: ChatRequest, speaker: Speaker, as_json: bool) -> int:
    chat = TerminalChat(request, speaker)
    if request.message is None:
        return chat.converse(_lines())
    answer = chat.say(request.message, _unheard if as_json else show)
    if as_json:
        print_json(answer)
    else:
        print("", *source_lines(answer), sep="\n", flush=True)
    return 0


def _unheard(_text: str) -> None:
    pass


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
