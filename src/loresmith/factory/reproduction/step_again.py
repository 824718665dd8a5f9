"""One step, carried out again and held against what is on record of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import Failure, UserError
from loresmith.factory.acceptance import accepted
from loresmith.factory.action_metrics import merged_metrics
from loresmith.factory.choices import lay_out
from loresmith.factory.compute import Compute
from loresmith.factory.environment import full_environment
from loresmith.factory.process import StepProcess, step_request
from loresmith.factory.reproduction.comparison import compare_environments, compare_metrics, compare_output
from loresmith.factory.reproduction.lineage import Ancestor
from loresmith.factory.reproduction.notes import Notes
from loresmith.factory.reproduction.report import EnvironmentDifference, OutputComparison, StepReproduction
from loresmith.factory.reproduction.sources import OutsideReader
from loresmith.factory.step import InputAsset
from loresmith.factory.stopping import StopRequest
from loresmith.ledger import Ledger


class MadeAgain(BaseModel):
    """A step that is done, as a process that goes on after this one finds it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    report: StepReproduction
    directories: dict[str, Path] = Field(description="Where the outputs are that are the same as on record, by digest.")


class StepAgain:
    """A step of a lineage, to be carried out again.

    Args:
        recorded_inputs: the inputs for which the asset on record is used, since the step that makes it differs.
        folder: its own; what it makes, its log and its numbers are left there.
        threads: CPU threads it gets.
    """

    def __init__(
        self,
        ledger: Ledger,
        ancestor: Ancestor,
        reader: OutsideReader,
        recorded_inputs: tuple[str, ...],
        folder: Path,
        threads: int,
    ) -> None:
        self._ledger = ledger
        self._ancestor = ancestor
        self._action = ancestor.action
        self._reader = reader
        self._recorded_inputs = recorded_inputs
        self._folder = folder
        self._threads = threads

    def carry_out(
        self, inputs: Mapping[str, InputAsset], stop: StopRequest, observer: Callable[[Mapping[str, Any]], None]
    ) -> MadeAgain:
        """Do it; without what it once read from outside, its outputs on record are taken as given.

        Raises:
            Failure: it refused or failed.
            Interrupted: it stopped because it was asked to.
        """
        laid_out = self._folder / "sources"
        shutil.rmtree(laid_out, ignore_errors=True)
        laid_out.mkdir()
        sources = self._reader.find(laid_out)
        if sources.config is None:
            given = self._report(outcome="given", sources=sources.sources, reason=sources.reason)
            return MadeAgain(report=given, directories={})
        name = self._ancestor.name
        observer({"event": "step-started", "step": name, "kind": self._action.step, "key": self._action.key})
        config = sources.config.model_dump(mode="json")
        compute = Compute.on_record(self._action.environment)
        lay_out(self._action.environment, self._folder / "state")
        seed, threads = self._action.seed, self._threads
        caches = self._folder / "cache"  # of its own: what was once made is made anew, and not found
        erased = self._ledger.erasures.known() if self._reader.step.leaves_out_erased else frozenset[str]()
        request = step_request(
            name, self._action.step, config, seed, threads, self._folder, inputs, compute, caches, None, erased
        )
        notes = Notes(self._folder)
        process = StepProcess(request, self._folder / "request.json", notes.log_path)

        def take(event: Mapping[str, Any]) -> None:
            notes.take(event)
            observer({**event, "step": name})

        try:
            finished = process.follow(name, stop, lambda: None, take)
        except UserError as error:  # it once took what it refuses now: not a mistake of whoever asks
            raise Failure(error.what, where=error.where, hint=error.hint) from error
        finally:
            process.close()
            notes.close()
        measured = {"seconds": finished["seconds"], "peak_bytes": finished["peak_bytes"]}
        observer({"event": "step-finished", "step": name, "key": self._action.key, **measured})
        outputs, directories = self._compared(finished, inputs)
        same = all(output.same for output in outputs if output.needed)
        environment, unrecorded = self._environment(finished)
        recorded = merged_metrics(self._ledger, self._ledger.runs.working_on(self._action.key))
        metrics, numbers = compare_metrics(recorded, notes.metrics)
        report = self._report(
            outcome="same" if same else "differs",
            sources=sources.sources,
            outputs=outputs,
            metrics=() if same else metrics,
            numbers=numbers,
            environment=environment,
            unrecorded=unrecorded,
            seconds=finished["seconds"],
        )
        return MadeAgain(report=report, directories=directories)

    def _report(self, **found: Any) -> StepReproduction:
        return StepReproduction(
            name=self._ancestor.name,
            step=self._action.step,
            key=self._action.key,
            recorded_inputs=self._recorded_inputs,
            threads=self._threads,
            recorded_seconds=self._action.seconds,
            **found,
        )

    def _compared(
        self, finished: Mapping[str, Any], inputs: Mapping[str, InputAsset]
    ) -> tuple[tuple[OutputComparison, ...], dict[str, Path]]:
        """Its outputs against those on record, and where those are that are the same, by digest."""
        _books, made = accepted(self._reader.step, self._ancestor.name, finished, inputs)
        assets = self._ledger.assets
        recorded = {role: assets.get(digest) for role, digest in self._action.outputs.items()}
        found = {
            role: assets.identify(output.kind, output.directory, output.metadata, output.labels)
            for role, output in made.items()
        }
        outputs = tuple(
            compare_output(role, role in self._ancestor.needed, recorded.get(role), found.get(role))
            for role in sorted(recorded.keys() | found.keys())
        )
        same = {found[output.role].digest: made[output.role].directory for output in outputs if output.same}
        return outputs, same

    def _environment(self, finished: Mapping[str, Any]) -> tuple[tuple[EnvironmentDifference, ...], tuple[str, ...]]:
        """What is different in the environment, the step's own version first, and what is not on record."""
        step = self._reader.step
        present = {**full_environment(step, self._threads), **finished["environment"]}
        differences, unrecorded = compare_environments(self._action.environment, present)
        then, now = self._action.step_version, step.version
        if then != now:
            version = EnvironmentDifference(name=f"version of {step.name}", recorded=str(then), found=str(now))
            differences = (version, *differences)
        return differences, unrecorded
