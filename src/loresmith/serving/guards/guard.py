"""What every guard is: it reads a text and says what in it matches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from loresmith.serving.guards.settings import Where
from loresmith.serving.guards.views import Views


@dataclass(frozen=True)
class Hit:
    """A stretch of the given text that matches.

    Attributes:
        start, end: characters start .. end - 1.
        rule: which rule matched.
        mask: what stands there instead where it is redacted.
        sure: whether nothing that follows can change that it matches.
    """

    start: int
    end: int
    rule: str
    mask: str
    sure: bool = False


@dataclass(frozen=True)
class Context:
    """What is known of the request whose answer is guarded.

    Attributes:
        labels: that the caller holds.
        passages: the texts that were retrieved for this caller, as the model was shown them.
        schema: the JSON Schema that the request asks the answer to keep, if it does.
        tools: the JSON Schema of each tool's arguments, by the tool's name.
    """

    labels: frozenset[str] = frozenset()
    passages: Sequence[str] = ()
    schema: Mapping[str, Any] | None = None
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """A text that a guard reads.

    Attributes:
        views: the text, in all ways in which it can be read.
        where: what it is.
        context: of the request.
        whole: whether it is all there is; else more may follow.
        tool: of the arguments of a tool call, the tool's name.
    """

    views: Views
    where: Where
    context: Context
    whole: bool = True
    tool: str = ""


class Guard(Protocol):
    """Reads texts, without a memory of others.

    Attributes:
        hold: how many characters that somebody sees a match has at most, beside those that `open_from` knows of.
        left: how many characters before a match may decide whether it is one.
        whole: it can only judge a whole answer.
    """

    hold: int
    left: int
    whole: bool

    def look(self, reading: Reading) -> Iterable[Hit]:
        """What matches, in any order; hits may overlap."""
        ...

    def open_from(self, reading: Reading) -> int:
        """Where in the given text a match begins that what follows may make one; its length where there is none."""
        ...
