"""A call: one thing that a person, a program or an agent can ask of a workspace.

Its request and its answer are Pydantic models, so that a CLI command, an HTTP route, a tool of an agent and their
documentation are generated from the same declaration and cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class Request(BaseModel):
    """Base of all requests: frozen, unknown keys rejected, a sentence under each field.

    What a command line needs to know beyond the type stands in `Field(json_schema_extra={...})`:

    - `positional`: the field is an argument; the others are options.
    - `option`: the option's name where it is not the field's, such as `set` for `settings`.
    - `short`: a letter for the option.
    - `bare`: the value of the option when it is written without one.
    - `api_only`: the field is for programs; the command line has another way to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(BaseModel):
    """Base of all answers: what `--json` prints, and what other faces return."""

    model_config = ConfigDict(frozen=True, extra="forbid")


RequestT = TypeVar("RequestT", bound=Request)
AnswerT = TypeVar("AnswerT", bound=Answer)
Emit = Callable[[Mapping[str, Any]], None]
"""Takes the events of long work: progress, or text as it is generated."""


def _fine(_answer: Any) -> bool:
    return False


@dataclass(frozen=True)
class Call(Generic[RequestT, AnswerT]):
    """One call.

    Attributes:
        name: the words of the CLI command, such as `assets ls`.
        summary: one sentence; the first line of its help.
        request, answer: what goes in and what comes out.
        run: the function that does it, in an open workspace.
        failed: says of an answer whether it means failure, for an exit status of 1 (a verification that found damage).
        example: a command line that shows it at work, without the name of the program.
    """

    name: str
    summary: str
    request: type[RequestT]
    answer: type[AnswerT]
    run: Callable[[Workspace, RequestT, Emit], AnswerT]
    failed: Callable[[AnswerT], bool] = _fine
    example: str = ""

    def perform(self, folder: Path, request: RequestT, emit: Emit) -> AnswerT:
        """Do it in the workspace that `folder` is in."""
        from loresmith.sdk.workspace import Workspace

        with Workspace.open(folder) as workspace:
            return self.run(workspace, request, emit)


@dataclass(frozen=True)
class FolderCall(Generic[RequestT, AnswerT]):
    """A call that does not open the workspace: it makes one, looks at one that may be broken, or needs none.

    Attributes as of `Call`, but that `run` gets the folder that the caller stands in.
    """

    name: str
    summary: str
    request: type[RequestT]
    answer: type[AnswerT]
    run: Callable[[Path, RequestT, Emit], AnswerT]
    failed: Callable[[AnswerT], bool] = _fine
    example: str = ""

    def perform(self, folder: Path, request: RequestT, emit: Emit) -> AnswerT:
        """Do it."""
        return self.run(folder, request, emit)


AnyCall = Call[Any, Any] | FolderCall[Any, Any]
