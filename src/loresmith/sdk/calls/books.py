"""The books: of a run, and of one document through all runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

from loresmith.errors import UserError
from loresmith.ledger.books import Account
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.spans import TracedSpan, require_span, span_of, trace_span
from loresmith.sdk.tracing import Trace, trace_document

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class BooksRequest(Request):
    """What `books` takes."""

    run: str | None = Field(
        default=None, description="The run's id. Default: the newest run.", json_schema_extra={"positional": True}
    )
    step: str | None = Field(default=None, description="Only the books of this step of its recipe.")


class StepBooks(BaseModel):
    """The books of one step of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="The step's name in the recipe.")
    step: str = Field(description="Which kind of step.")
    accounts: tuple[Account, ...] = Field(description="One for each unit; what entered equals what left.")
    table: str | None = Field(description="Digest of the asset that has the books line by line, if there is one.")


class BooksAnswer(Answer):
    """The books of a run."""

    run: str = Field(description="The run's id.")
    steps: tuple[StepBooks, ...] = Field(description="Steps with books, in running order.")


class TraceRequest(Request):
    """What `trace document` takes."""

    document: str = Field(
        description="The document's id, eight or more characters that it begins with, or its path.",
        json_schema_extra={"positional": True},
    )
    span: str | None = Field(
        default=None,
        description="Say where these characters of its text come from, in every asset that has it: `120-180` is "
        "character 120 up to 179, from 0.",
    )

    _span_is_one = field_validator("span")(require_span)


class TraceAnswer(Answer):
    """What became of a document."""

    trace: Trace = Field(description="All that the books say of it.")
    spans: tuple[TracedSpan, ...] = Field(
        description="Where the characters asked for come from, oldest asset first; empty if none were asked for."
    )


def _books(workspace: Workspace, request: BooksRequest, _emit: Emit) -> BooksAnswer:
    run = request.run
    if run is None:
        newest = workspace.ledger.runs.list(limit=1)
        if not newest:
            raise UserError("there are no runs yet", hint="`loresmith run` makes the first")
        run = newest[0].id
    states = workspace.runs[run].steps()
    if request.step is not None and request.step not in (state.name for state in states):
        raise UserError(f"run {run} has no step {request.step!r}; it has {', '.join(state.name for state in states)}")
    return BooksAnswer(
        run=run,
        steps=tuple(
            StepBooks(
                name=state.name,
                step=state.step,
                accounts=state.books.accounts,
                table=state.outputs.get("books"),
            )
            for state in states
            if state.books is not None and state.books.accounts and request.step in (None, state.name)
        ),
    )


def _trace(workspace: Workspace, request: TraceRequest, _emit: Emit) -> TraceAnswer:
    trace = trace_document(workspace.ledger, request.document)
    spans = trace_span(workspace.ledger, trace, span_of(request.span)) if request.span is not None else ()
    return TraceAnswer(trace=trace, spans=spans)


BOOKS = Call(
    "books",
    "Print a run's books: every record and token that went in, and where it went.",
    BooksRequest,
    BooksAnswer,
    _books,
    example="books",
)
TRACE = Call(
    "trace document",
    "Say what became of a document, and which models saw it.",
    TraceRequest,
    TraceAnswer,
    _trace,
    example="trace document argparse.py",
)
