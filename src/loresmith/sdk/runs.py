"""The runs of a workspace, as the SDK hands them out: `ws.runs[id]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.factory.action_metrics import merged_metrics
from loresmith.factory.plan import Plan, stored_plan
from loresmith.ledger import Action, Metric, Run
from loresmith.sdk.following import follow
from loresmith.sdk.step_states import Cause, StepState, cause_of, step_states

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace

RESUMABLE = ("interrupted", "failed")
"""The states of a run that can go on, and the events that end a run so."""


class RunHandle:
    """One run."""

    def __init__(self, workspace: Workspace, run: str) -> None:
        self._workspace = workspace
        self.id = run

    @property
    def record(self) -> Run:
        """The run as the ledger has it now, with its status."""
        return self._workspace.ledger.runs.get(self.id)

    @property
    def status(self) -> str:
        return self.record.status

    @property
    def folder(self) -> Path:
        """Its logs and events."""
        return self._workspace.place.state / "runs" / self.id

    def plan(self) -> Plan:
        return stored_plan(self.record)

    def steps(self) -> tuple[StepState, ...]:
        """How far each step of its plan is, in running order."""
        numbers: dict[str, dict[str, float]] = {}
        for metric in self._workspace.ledger.runs.metrics(self.id):
            numbers.setdefault(metric.step, {})[metric.name] = metric.value
        record = self.record
        events = self._workspace.ledger.runs.events(self.id)
        return step_states(stored_plan(record), record.status, events, numbers, self._workspace.ledger)

    @property
    def cause(self) -> Cause | None:
        """What stopped it, if it failed or was interrupted and said so."""
        ends = [event for event in self._workspace.ledger.runs.events(self.id) if event.kind in RESUMABLE]
        return cause_of(ends[-1]) if ends else None

    def follow(self, pause: float = 0.5) -> Iterator[Mapping[str, Any]]:
        """Its events, past and to come, until it no longer runs; `pause` is in seconds.

        They have the form in which an observer of `Workspace.run` gets them.
        """
        return follow(self._workspace.ledger, self.id, self.folder / "events.jsonl", pause)

    def actions(self) -> dict[str, Action]:
        """What was done for each finished step of its plan, by this run or by an earlier one, in plan order."""
        keys = {
            event.step: event.data["key"]
            for event in self._workspace.ledger.runs.events(self.id)
            if event.kind in ("step-cached", "step-finished") and event.step is not None
        }
        found = {step: self._workspace.ledger.actions.find(key) for step, key in keys.items()}
        return {step: action for step, action in found.items() if action is not None}

    def metrics(self, step: str, name: str | None = None) -> list[Metric]:
        """A step's numbers in order of position, over all runs that worked on the same action.

        A run that goes on from a checkpoint repeats what came after it; the newest row of a position counts.
        """
        runs = self._workspace.ledger.runs
        action = self.actions().get(step)
        workers = runs.working_on(action.key) if action is not None else [(self.id, step)]
        return merged_metrics(self._workspace.ledger, workers, name)


class Runs:
    """The runs of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __getitem__(self, run: str) -> RunHandle:
        return RunHandle(self._workspace, self._workspace.ledger.runs.get(run).id)

    def __iter__(self) -> Iterator[RunHandle]:
        return (RunHandle(self._workspace, run.id) for run in self._workspace.ledger.runs.list(limit=None))
