"""A conversation in the terminal, whoever answers: a gateway's model or one of this workspace."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from loresmith.cli.screen import visible
from loresmith.errors import LoresmithError
from loresmith.sdk.calls.models import AnswerSource, ChatAnswer, ChatRequest, Message

_MOST_PAGES = 5

HELP = """\
/help        show this
/new         begin a new conversation
/save FILE   write the conversation to a file (JSON)
/quit        leave, as Ctrl-D does
Ctrl-C stops an answer."""


class Speaker(Protocol):
    """Who answers."""

    @property
    def name(self) -> str:
        """The model's, as it is kept with a conversation."""

    def answer(self, messages: Sequence[Message], show: Callable[[str], None]) -> None:
        """The next turn, which is shown as it comes.

        Raises:
            UserError, Failure: there is no answer.
        """

    @property
    def sources(self) -> tuple[AnswerSource, ...]:
        """The passages that the last answer rests on."""


class TerminalChat:
    """One conversation."""

    def __init__(self, request: ChatRequest, speaker: Speaker) -> None:
        self._request = request
        self._speaker = speaker
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
        said = ""

        def heard(words: str) -> None:
            nonlocal said
            said += words
            show(words)

        try:
            self._speaker.answer(asked, heard)
        except KeyboardInterrupt:
            if not self._by_person:
                raise
            show(" (stopped)")
        self._messages = [*asked, Message(role="assistant", content=said)]
        return ChatAnswer(
            asset=self._speaker.name,
            reply=said,
            messages=tuple(self._messages),
            sources=self._speaker.sources,
            seconds=time.monotonic() - begun,
        )

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
                answer = self.say(line, show)
                print(flush=True)
                for source in source_lines(answer):
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
        conversation = {"model": self._speaker.name, "messages": [message.model_dump() for message in self._messages]}
        try:
            with Path(name).expanduser().open("x", encoding="utf-8") as file:
                file.write(json.dumps(conversation, ensure_ascii=False, indent=2) + "\n")
        except OSError as error:
            return f"It cannot be written to {name}: {error.strerror}"
        return f"Written to {name}."


def source_lines(answer: ChatAnswer) -> Iterator[str]:
    """A line for each passage that an answer rests on."""
    for source in answer.sources:
        shown = ", ".join(map(str, source.pages[:_MOST_PAGES])) + (", ..." if len(source.pages) > _MOST_PAGES else "")
        yield f"[{source.number}] {visible(source.path)}" + (f", page {shown}" if source.pages else "")


def show(text: str) -> None:
    """A model's words, without what would steer the terminal."""
    sys.stdout.write(visible(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()
