"""A run: one execution of a plan, step by step, that can be killed anywhere and go on.

A finished step is in the ledger under its action key and is never done again. A step under way has a folder of its
own, named by the same key, in which it keeps its state; whoever comes next, this process or another, finds it there.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from loresmith.errors import Interrupted, LoresmithError, os_failure
from loresmith.factory.acceptance import accepted
from loresmith.factory.environment import full_environment
from loresmith.factory.gone import gone_since
from loresmith.factory.inputs import input_asset
from loresmith.factory.launcher import seconds_to_stop
from loresmith.factory.plan import Plan, require_same_erasures, require_same_sources
from loresmith.factory.planned import PlannedStep
from loresmith.factory.process import StepProcess, step_request
from loresmith.factory.record import StepRecord
from loresmith.factory.registry import find_step
from loresmith.factory.step import InputAsset
from loresmith.factory.stopping import StopRequest, stop_on_signals
from loresmith.ledger import Action, ActionRecord, Ledger

Observer = Callable[[Mapping[str, Any]], None]

WAIT_SECONDS = 0.5
BEAT_SECONDS = 5.0
CACHES = "cache"
"""In the workspace's own folder: what steps remember of their sources. It may be removed at any time."""


def default_threads() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def execute(plan: Plan, ledger: Ledger, folder: Path, observer: Observer | None = None) -> str:
    """Carry out a plan.

    Args:
        folder: where runs and work under way are kept (`runs/`, `work/`).
        observer: called with every event of the run, for a terminal or a program to show.

    Returns:
        The run's id; its record is in the ledger.

    Raises:
        UserError, Failure: a step refused or failed; what was finished before is kept.
        Interrupted: Ctrl-C or SIGTERM, or the process of a step was killed; the next start goes on.
    """
    run = ledger.runs.start(
        plan_digest=plan.digest,
        recipe=plan.recipe,
        plan=plan.model_dump(mode="json"),
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    execution = _Execution(plan, ledger, folder, run, observer or (lambda _event: None))
    go_on = "`loresmith run --resume` goes on from there"
    with stop_on_signals(go_on, seconds_to_stop(plan.compute)) as stop:
        try:
            execution.carry_out(stop)
        except LoresmithError as error:
            # The run's own end is written if the ledger can still be written; a dead process says the same.
            with suppress(LoresmithError):
                ledger.runs.event(
                    run, "interrupted" if isinstance(error, Interrupted) else "failed", data=_cause(error)
                )
            raise
        except OSError as error:
            failure = os_failure(error, where=f"run {run}")
            with suppress(LoresmithError):
                ledger.runs.event(run, "failed", data=_cause(failure))
            raise failure from error
    return run


def _cause(error: LoresmithError) -> dict[str, Any]:
    return {"what": error.what, "where": error.where, "hint": error.hint}


class _Execution:
    """What `execute` knows while it works."""

    def __init__(self, plan: Plan, ledger: Ledger, folder: Path, run: str, observer: Observer) -> None:
        self.plan = plan
        self.ledger = ledger
        self.folder = folder
        self.run = run
        self.observer = observer
        self.threads = plan.compute.threads or default_threads()
        self.made: dict[str, Mapping[str, str]] = {}
        self.worked: set[str] = set()
        self._beat_at = 0.0

    def carry_out(self, stop: StopRequest) -> None:
        (self.folder / "runs" / self.run).mkdir(parents=True, exist_ok=True)
        require_same_erasures(self.plan, self.ledger)
        self.observer({"event": "run-started", "run": self.run, "plan": self.plan.digest})
        for planned in self.plan.steps:
            stop.check()
            self._beat()
            self.made[planned.name] = self._outputs_of(planned, stop)
        self._release()
        self.ledger.runs.event(self.run, "finished")
        self.observer({"event": "run-finished", "run": self.run})

    def _outputs_of(self, planned: PlannedStep, stop: StopRequest) -> Mapping[str, str]:
        """The digests of a step's outputs: found, waited for, or made."""
        inputs = {}
        for role, source in planned.inputs.items():
            inputs[role] = source.asset or self.made[source.step or ""][source.output or ""]
        key = planned.action_key(self.plan.seed, inputs)
        waiting = False
        while True:
            action = self.ledger.actions.find(key)
            if action is not None:
                return self._found(planned, action)
            if self.ledger.claims.acquire(key, self.run):
                break
            if not waiting:
                waiting = True
                holder = self.ledger.claims.holder(key)
                self.observer({"event": "step-waiting", "step": planned.name, "run": holder.run if holder else None})
            self._beat()
            time.sleep(WAIT_SECONDS)
            stop.check()
        try:
            # Whoever held the claim before may have finished between our look and our claim.
            action = self.ledger.actions.find(key)
            return self._found(planned, action) if action is not None else self._do(planned, key, inputs, stop).outputs
        except Interrupted:
            raise
        except LoresmithError as error:
            with suppress(LoresmithError):
                self.ledger.runs.event(self.run, "step-failed", planned.name, {"key": key, **_cause(error)})
            raise
        finally:
            with suppress(LoresmithError):
                self.ledger.claims.release(key, self.run)

    def _found(self, planned: PlannedStep, action: Action) -> Mapping[str, str]:
        data = {"key": action.key, **self._gone(planned, action)}
        self.ledger.runs.event(self.run, "step-cached", planned.name, data)
        self.observer({"event": "step-cached", "step": planned.name, **data, "run": action.run})
        return action.outputs

    def _do(self, planned: PlannedStep, key: str, inputs: Mapping[str, str], stop: StopRequest) -> Action:
        """Run a step in a process of its own and put what it made into the ledger."""
        work = self.folder / "work" / key
        work.mkdir(parents=True, exist_ok=True)
        self.ledger.runs.event(self.run, "step-started", planned.name, {"key": key})
        self.observer({"event": "step-started", "step": planned.name, "kind": planned.step, "key": key})
        record = StepRecord(self.ledger, self.run, planned.name, key, work, self.folder / "runs" / self.run)
        assets = {role: input_asset(self.ledger, planned.name, role, digest) for role, digest in inputs.items()}
        settings, seed, compute = planned.resolved_config(), self.plan.seed, self.plan.compute
        caches, blobs = self.folder / CACHES, self.ledger.blobs.folder
        # Nothing more is erased while this run is under way.
        erased = self.ledger.erasures.known() if find_step(planned.step).leaves_out_erased else frozenset[str]()
        request = step_request(
            planned.name, planned.step, settings, seed, self.threads, work, assets, compute, caches, blobs, erased
        )

        def tick() -> None:
            self._beat(key)
            record.flush_when_due()

        def take(event: Mapping[str, Any]) -> None:
            record.take(event)
            self.observer({**event, "step": planned.name})

        process = StepProcess(request, work / "request.json", record.log_path)
        try:
            finished = process.follow(planned.name, stop, tick, take)
        finally:
            process.close()
            record.close()
        # Files that changed under the step would be found under the key of what they were, for ever.
        require_same_sources(planned, f"step {planned.name!r}", caches, erased)
        action = self._recorded(planned, key, assets, finished)
        shutil.rmtree(work, ignore_errors=True)
        self.worked.add(planned.name)
        data = {"key": key, "seconds": action.seconds, "peak_bytes": action.peak_bytes, **self._gone(planned, action)}
        self.ledger.runs.event(self.run, "step-finished", planned.name, data)
        self.observer({"event": "step-finished", "step": planned.name, **data, "outputs": dict(action.outputs)})
        return action

    def _gone(self, planned: PlannedStep, action: Action) -> dict[str, Any]:
        gone = gone_since(self.ledger, self.plan.recipe, planned, action.outputs)
        return {} if gone is None else {"gone": gone.model_dump(mode="json")}

    def _recorded(
        self, planned: PlannedStep, key: str, inputs: Mapping[str, InputAsset], finished: Mapping[str, Any]
    ) -> Action:
        step = find_step(planned.step)
        books, outputs = accepted(step, planned.name, finished, inputs)
        return self.ledger.actions.record(
            ActionRecord(
                key=key,
                run=self.run,
                name=planned.name,
                recipe=self.plan.recipe,
                step=planned.step,
                step_version=planned.version,
                config=planned.resolved_config(),
                seed=self.plan.seed,
                environment={**full_environment(step, self.threads), **finished["environment"]},
                inputs={role: asset.digest for role, asset in inputs.items()},
                outputs=outputs,
                books=books,
                checks=tuple(
                    (check["output"], check["kind"], check["passed"], check["evidence"]) for check in finished["checks"]
                ),
                seconds=finished["seconds"],
                peak_bytes=finished["peak_bytes"],
            )
        )

    def _release(self) -> None:
        target = self.plan.release
        if target is None:
            return
        name, _, role = target.asset.partition(".")
        planned = next(step for step in self.plan.steps if step.name == name)
        step = find_step(planned.step)
        main_role = next(iter(step.outputs_of(step.config.model_validate(planned.resolved_config()))))
        digest = self.made[name][role or main_role]
        current = self.ledger.releases.target(target.name, target.channel)
        if current == digest:
            return
        # What this run found done and a person has since replaced or rolled back stays where they put it.
        if (
            current is not None
            and name not in self.worked
            and any(
                event.asset == digest and event.channel == target.channel
                for event in self.ledger.releases.history(target.name)
            )
        ):
            self.observer({"event": "release-kept", "release": target.name, "channel": target.channel})
            return
        self.ledger.releases.promote(target.name, digest, target.channel, reason=f"made by run {self.run}")
        self.observer({"event": "released", "release": target.name, "channel": target.channel, "asset": digest})

    def _beat(self, key: str | None = None) -> None:
        """Say that this run is alive, now and then."""
        moment = time.monotonic()
        if moment - self._beat_at < BEAT_SECONDS:
            return
        self._beat_at = moment
        self.ledger.runs.beat(self.run)
        if key is not None:
            self.ledger.claims.beat(key, self.run)
