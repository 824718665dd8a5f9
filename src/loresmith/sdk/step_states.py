"""How far each step of a run is, from the run's plan and its events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.factory.gone import Gone
from loresmith.factory.plan import Plan
from loresmith.factory.planned import PlannedStep
from loresmith.ledger import Ledger, RunEvent
from loresmith.ledger.books import Books

State = Literal["to do", "under way", "made", "cached", "failed", "interrupted"]

_AFTER: dict[str, State] = {
    "step-started": "under way",
    "step-cached": "cached",
    "step-finished": "made",
    "step-failed": "failed",
}


class Cause(BaseModel):
    """What stopped a step or a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str = Field(description="What was wrong, in one sentence.")
    where: str | None = Field(description="The file, line, key or record it was found in.")
    hint: str | None = Field(description="What to do about it.")


class StepState(BaseModel):
    """One step of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="The step's name in the recipe.")
    step: str = Field(description="Which kind of step.")
    state: State = Field(description="`made` by this run, `cached`: found in the ledger, or how far it is.")
    key: str | None = Field(description="The action key, once the step's inputs are known.")
    seconds: float | None = Field(description="Wall time of making it, in this run or in the one that made it.")
    peak_bytes: int | None = Field(description="Largest resident memory, in bytes.")
    outputs: dict[str, str] = Field(description="Digests of what it made, by role.")
    books: Books | None = Field(description="What went in, and where all of it went.")
    numbers: dict[str, float | None] = Field(description="The last value of each metric; null is not a number.")
    cause: Cause | None = Field(description="What stopped it, if it failed.")
    gone: Gone | None = Field(description="Files of its place that were there when the recipe was last run.")


def step_states(
    plan: Plan, status: str, events: Iterable[RunEvent], numbers: Mapping[str, Mapping[str, float]], ledger: Ledger
) -> tuple[StepState, ...]:
    """The state of every step of a plan, in running order.

    Args:
        status: of the run: a step that is under way in a run that is not running is interrupted.
        numbers: the last value of each metric by step.
    """
    last = {event.step: event for event in events if event.kind in _AFTER}
    return tuple(_state(step, last.get(step.name), status, numbers.get(step.name, {}), ledger) for step in plan.steps)


def _state(
    step: PlannedStep, event: RunEvent | None, status: str, numbers: Mapping[str, float], ledger: Ledger
) -> StepState:
    state: State = _AFTER[event.kind] if event is not None else "to do"
    if state == "under way" and status != "running":
        state = "interrupted"
    key: str | None = event.data["key"] if event is not None else step.key
    action = ledger.actions.find(key) if key is not None and state in ("made", "cached") else None
    return StepState(
        name=step.name,
        step=step.step,
        state=state,
        key=key,
        seconds=action.seconds if action is not None else None,
        peak_bytes=action.peak_bytes if action is not None else None,
        outputs=action.outputs if action is not None else {},
        books=action.books if action is not None else None,
        numbers={name: value if math.isfinite(value) else None for name, value in numbers.items()},
        gone=Gone.model_validate(event.data["gone"]) if event is not None and "gone" in event.data else None,
        cause=cause_of(event) if event is not None and state == "failed" else None,
    )


def cause_of(event: RunEvent) -> Cause:
    """What an event of failure says."""
    return Cause(what=event.data["what"], where=event.data.get("where"), hint=event.data.get("hint"))
