"""A call: one thing that a person, a program or an agent can ask of a workspace.

Its request and its answer are Pydantic models, so that a CLI command, an HTTP route, a tool of an agent and their
documentation are generated from the same declaration and cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from loresmith.sdk.workspace import Workspace


class Request(BaseModel):
    """Base of all requests: frozen, unknown keys rejected, a sentence under each field.

    A field declared with `Field(json_schema_extra={"positional": True})` is an argument of the CLI command; the
    others are options. `{"short": "c"}` gives an option a letter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(BaseModel):
    """Base of all answers: what `--json` prints, and what other faces return."""

    model_config = ConfigDict(frozen=True, extra="forbid")


RequestT = TypeVar("RequestT", bound=Request)
AnswerT = TypeVar("AnswerT", bound=Answer)
Emit = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Call(Generic[RequestT, AnswerT]):
    """One call.

    Attributes:
        name: the words of the CLI command, such as `assets ls`.
        summary: one sentence; the first line of its help.
        request, answer: what goes in and what comes out.
        run: the function that does it. `emit` takes events of long work (progress, text as it is generated).
        failed: says of an answer whether it means failure, for an exit status of 1 (a verification that found damage).
    """

    name: str
    summary: str
    request: type[RequestT]
    answer: type[AnswerT]
    run: Callable[[Workspace, RequestT, Emit], AnswerT]
    failed: Callable[[AnswerT], bool] = lambda _answer: False
