"""The words of a condition, and where they stand in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NoReturn

from loresmith.errors import UserError

KEYWORDS = frozenset({"AND", "OR", "NOT", "IN", "LIKE", "IS", "NULL", "BETWEEN", "TRUE", "FALSE"})

WordKind = Literal["keyword", "name", "quoted name", "text", "number", "sign", "end"]

_WORD = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")+")
  | (?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])
  | (?P<name>[^\W\d]\w*)
  | (?P<sign><>|<=|>=|!=|==|[=<>(),.])
  )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Word:
    """One word; `said` is what it stands for: a text without its quotes, a keyword in capitals."""

    kind: WordKind
    said: str
    at: int


@dataclass(frozen=True)
class Written:
    """A condition as it was written.

    Attributes:
        text: what was written.
        called: what a message calls the place that it was written in, such as `--where`.
    """

    text: str
    called: str

    def refuse(self, what: str, at: int, hint: str = "") -> NoReturn:
        """Raise UserError with the condition and an arrow at the place."""
        line = " ".join(self.text.splitlines())
        pointed = f"{line}\n  {' ' * at}^"
        raise UserError(
            what, where=f"{self.called}, character {at + 1}", hint=f"{pointed}{hint and chr(10) + '  ' + hint}"
        )

    def words(self) -> Iterator[Word]:
        """Its words, and an `end` behind the last. Raises UserError for what is none."""
        at = 0
        end = len(self.text.rstrip())
        while at < end:
            match = _WORD.match(self.text, at)
            if match is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                self._refuse_character(at)
            kind = str(match.lastgroup)
            start, at = match.start(kind), match.end()
            yield _word(kind, match[kind], start)
        yield Word("end", "", end)

    def _refuse_character(self, at: int) -> NoReturn:
        character = self.text[at]
        if character in "'\"":
            self.refuse(f"this quote {character} is never closed", at)
        if character.isdigit() or character in "-+":
            self.refuse("this is no number", at)
        self.refuse(f"the character {character!r} means nothing here", at)


def _word(kind: str, written: str, at: int) -> Word:
    match kind:
        case "text":
            return Word("text", written[1:-1].replace("''", "'"), at)
        case "quoted":
            return Word("quoted name", written[1:-1].replace('""', '"'), at)
        case "number":
            return Word("number", written, at)
        case "name" if written.upper() in KEYWORDS:
            return Word("keyword", written.upper(), at)
        case "name":
            return Word("name", written, at)
    return Word("sign", {"==": "=", "<>": "!="}.get(written, written), at)
