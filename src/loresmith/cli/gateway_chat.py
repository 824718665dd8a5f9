"""A conversation with a gateway's model in the terminal: `loresmith chat URL`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from loresmith.cli.gateway_client import GatewayClient, read_key
from loresmith.cli.screen import visible
from loresmith.errors import LoresmithError, UserError
from loresmith.sdk.calls.models import ChatAnswer, ChatRequest, Message

HELP = """\
/help        show this
/new         begin a new conversation
/save FILE   write the conversation to a file (JSON)
/quit        leave, as Ctrl-D does
Ctrl-C stops an answer."""

_MOST_PAGES = 5


class GatewayChat:
    """One conversation.

    Raises:
        UserError: there is no key, or no model that is meant.
        Failure: the gateway cannot be reached.
    """

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._client = GatewayClient(request.release, read_key(request.key_file))
        self._model = self._chosen(self._client.models())
        self._sources: list[Mapping[str, Any]] = []
        self._by_person = request.message is None and sys.stdin.isatty()
        self.begin()

    def begin(self) -> None:
        """A new conversation."""
        system = self._request.system
        self._messages = [Message(role="system", content=system)] if system else []
        self._messages += self._request.history

    def say(self, text: str, show: Callable[[str], None]) -> ChatAnswer:
        """One turn; the answer's text is shown as it comes. One that a person stops by Ctrl-C ends where it is.

        Raises:
            UserError, Failure: there is no answer; the conversation is as it was.
        """
        begun = time.monotonic()
        asked = [*self._messages, Message(role="user", content=text)]
        sampling = self._request.model_dump(include={"temperature", "top_p", "seed"} & self._request.model_fields_set)
        body = {
            "model": self._model,
            "messages": [message.model_dump() for message in asked],
            "max_tokens": self._request.max_new_tokens,
            **sampling,
        }
        said, self._sources = "", []
        try:
            with closing(self._client.chat(body)) as pieces:
                for piece in pieces:
                    for choice in piece["choices"]:
                        delta = choice["delta"]
                        words = (delta.get("content") or "") + (delta.get("refusal") or "")
                        said += words
                        self._sources = delta.get("sources") or self._sources
                        show(words)
        except KeyboardInterrupt:
            if not self._by_person:
                raise
            show(" (stopped)")
        self._messages = [*asked, Message(role="assistant", content=said)]
        return ChatAnswer(
            asset=self._model, reply=said, messages=tuple(self._messages), seconds=time.monotonic() - begun
        )

    def sources(self) -> Iterator[str]:
        """A line for each passage that the last answer rests on."""
        for source in self._sources:
            pages = [str(page) for page in source["pages"]]
            shown = ", ".join(pages[:_MOST_PAGES]) + (", ..." if len(pages) > _MOST_PAGES else "")
            yield f"[{source['number']}] {visible(str(source['path']))}" + (f", page {shown}" if pages else "")

    def converse(self, lines: Iterator[str]) -> int:
        """Turn by turn, until the lines end. Returns 1 if one that came from a pipe was not answered."""
        status, terminal = 0, sys.stdout.isatty()
        for line in lines:
            if not line.strip():
                continue
            if line.startswith("/") and self._by_person:
                if not self._command(line):
                    break
                continue
            try:
                self.say(line, show)
                print(flush=True)
                for source in self.sources():
                    print(f"\033[2m{source}\033[0m" if terminal else source, flush=True)
            except LoresmithError as error:
                print(f"loresmith: {error.what}", file=sys.stderr, flush=True)
                status = 1
        return 0 if self._by_person else status

    def _command(self, line: str) -> bool:
        """Do what a line with a slash says; False to leave."""
        word, _, rest = line.strip().partition(" ")
        if word in ("/quit", "/exit"):
            return False
        if word == "/new":
            self.begin()
            print("A new conversation.")
        elif word == "/save":
            print(self._saved(rest.strip()))
        else:
            if word != "/help":
                print(f"There is no {visible(word)}.")
            print(HELP)
        return True

    def _saved(self, name: str) -> str:
        if not name:
            return "Say into which file: /save FILE"
        conversation = {"model": self._model, "messages": [message.model_dump() for message in self._messages]}
        try:
            with Path(name).expanduser().open("x", encoding="utf-8") as file:
                file.write(json.dumps(conversation, ensure_ascii=False, indent=2) + "\n")
        except OSError as error:
            return f"It cannot be written to {name}: {error.strerror}"
        return f"Written to {name}."

    def _chosen(self, models: list[str]) -> str:
        wanted = self._request.model
        if wanted is not None:
            return wanted  # an adapter or a model that is not listed: the gateway knows
        if len(models) == 1:
            return models[0]
        if not models:
            raise UserError("there is no model that this key may ask", where=self._request.release)
        raise UserError(f"there are several models: {', '.join(models)}", hint="choose one with --model")


def show(text: str) -> None:
    """A model's words, without what would steer the terminal."""
    sys.stdout.write(visible(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()
