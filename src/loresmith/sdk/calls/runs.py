"""Look at runs: list them, show one, follow one that goes on."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from loresmith.factory.recipe import ReleaseTarget
from loresmith.ledger import Run
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.step_states import Cause, StepState

if TYPE_CHECKING:
    from loresmith.sdk.runs import RunHandle
    from loresmith.sdk.workspace import Workspace

Status = Literal["completed", "failed", "interrupted", "running"]


class RunLine(Answer):
    """One run of a list."""

    id: str = Field(description="The run's id; it sorts by time of start.")
    recipe: str = Field(description="The recipe's name.")
    status: Status = Field(description="`interrupted` also when its process is gone without a word.")
    started_at: str = Field(description="ISO 8601, UTC.")
    seconds: float | None = Field(description="Wall time from start to end; null while there is no end on record.")
    actor: str = Field(description="Who started it.")


class ListRequest(Request):
    """What `runs ls` takes."""

    limit: int = Field(default=20, ge=1, description="How many runs to list at most, the newest first.")


class RunList(Answer):
    """Some runs."""

    runs: tuple[RunLine, ...] = Field(description="The newest first.")


class RunDetail(Answer):
    """One run, with the state of each of its steps."""

    id: str = Field(description="The run's id.")
    recipe: str = Field(description="The recipe's name.")
    plan: str = Field(description="The digest of the plan.")
    status: Status = Field(description="`interrupted` also when its process is gone without a word.")
    actor: str = Field(description="Who started it.")
    host: str = Field(description="The machine that it runs on.")
    started_at: str = Field(description="ISO 8601, UTC.")
    ended_at: str | None = Field(description="ISO 8601, UTC; null while there is no end on record.")
    seconds: float | None = Field(description="Wall time from start to end; null while there is no end on record.")
    steps: tuple[StepState, ...] = Field(description="Its steps, in running order.")
    release: ReleaseTarget | None = Field(description="What it registers when it has finished.")
    cause: Cause | None = Field(description="What stopped it, if it failed or was interrupted and said so.")
    folder: Path = Field(description="Where its logs and events are.")


class ShowRequest(Request):
    """What `runs show` takes."""

    run: str = Field(description="The run's id.", json_schema_extra={"positional": True})


class WatchRequest(Request):
    """What `runs watch` takes."""

    run: str = Field(description="The run's id.", json_schema_extra={"positional": True})
    interval: float = Field(default=0.5, gt=0, le=60, description="Seconds between two looks, at most 60.")


def _seconds(run: Run) -> float | None:
    if run.ended_at is None:
        return None
    return (datetime.fromisoformat(run.ended_at) - datetime.fromisoformat(run.started_at)).total_seconds()


def detail(handle: RunHandle) -> RunDetail:
    """All about one run."""
    run = handle.record
    return RunDetail(
        id=run.id,
        recipe=run.recipe,
        plan=run.plan_digest,
        status=run.status,
        actor=run.actor,
        host=run.host,
        started_at=run.started_at,
        ended_at=run.ended_at,
        seconds=_seconds(run),
        steps=handle.steps(),
        release=handle.plan().release,
        cause=handle.cause,
        folder=handle.folder,
    )


def _list(workspace: Workspace, request: ListRequest, _emit: Emit) -> RunList:
    return RunList(
        runs=tuple(
            RunLine(
                id=run.id,
                recipe=run.recipe,
                status=run.status,
                started_at=run.started_at,
                seconds=_seconds(run),
                actor=run.actor,
            )
            for run in workspace.ledger.runs.list(limit=request.limit)
        )
    )


def _show(workspace: Workspace, request: ShowRequest, _emit: Emit) -> RunDetail:
    return detail(workspace.runs[request.run])


def _watch(workspace: Workspace, request: WatchRequest, emit: Emit) -> RunDetail:
    handle = workspace.runs[request.run]
    for event in handle.follow(request.interval):
        emit(event)
    return detail(handle)


LS = Call("runs ls", "List the runs, the newest first.", ListRequest, RunList, _list, example="runs")
SHOW = Call(
    "runs show",
    "Show a run: its steps, their books and numbers, and what stopped it.",
    ShowRequest,
    RunDetail,
    _show,
    example="runs show 20261122-011834-3f9a2c",
)
WATCH = Call(
    "runs watch",
    "Follow a run from another terminal until it no longer runs.",
    WatchRequest,
    RunDetail,
    _watch,
    failed=lambda answer: answer.status != "completed",
    example="runs watch 20261122-011834-3f9a2c",
)
