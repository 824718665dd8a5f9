"""Running a lineage again, from its sources to an asset, to see whether the same comes of it.

Every action that the asset came from is carried out anew, never found done: in the order of the lineage, each in a
process of its own, under the settings, the seed and the number of threads on record. What it makes is held against the
record and thrown away. A step gets what was made anew as its input as long as that is the same as what is on record;
after a step that differs, those that follow get what is on record, so that each is judged for itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loresmith.errors import Failure, os_failure
from loresmith.factory.compute import Compute
from loresmith.factory.environment import computing_environment, full_environment
from loresmith.factory.inputs import input_asset
from loresmith.factory.launcher import seconds_to_stop
from loresmith.factory.reproduction.lineage import Ancestor, ancestors
from loresmith.factory.reproduction.report import GivenAsset, Reproduction
from loresmith.factory.reproduction.scratch import discard, scratch
from loresmith.factory.reproduction.sources import OutsideReader
from loresmith.factory.reproduction.step_again import MadeAgain, StepAgain
from loresmith.factory.run import Observer, default_threads
from loresmith.factory.step import InputAsset
from loresmith.factory.stopping import StopRequest, stop_on_signals
from loresmith.ledger import Asset, Ledger
from loresmith.ledger.digest import digest_of

RECEIPT = "reproduction"
"""The kind of receipt by which the outcome is on record."""

_LONGEST_EVIDENCE = 20
"""Entries of a list that a receipt holds at most: it says what differed, not all of how."""


def reproduce(
    ledger: Ledger,
    digest: str,
    folder: Path,
    observer: Observer | None = None,
    *,
    threads: int | None = None,
    keep: bool = False,
) -> Reproduction:
    """Run the lineage of an asset again, and put the outcome on record as a receipt of the asset.

    Args:
        folder: where runs and work under way are kept; this works in `reproductions/` there.
        observer: called with every event, for a terminal or a program to show.
        threads: CPU threads that every step gets; by default, as many as on record.
        keep: leave what was made in place, to be looked at.

    Raises:
        UserError: no step made the asset, or a step of its lineage is not installed.
        Failure: a step failed or does not take its settings any more, or what is needed to run it is damaged; nothing
            is put on record.
        Interrupted: Ctrl-C or SIGTERM, or the process of a step was killed; the next start goes on.
    """
    asset = ledger.assets.get(digest)
    lineage = ancestors(ledger, asset)
    ledger.receipts.signed(digest, asset.kind, RECEIPT, True, {})  # without a key, better now than at the end
    work = _Work(ledger, lineage, threads, observer or (lambda _event: None), keep)
    again = f"`loresmith reproduce {digest[:12]}` goes on from there"
    try:
        own_folder = scratch(folder / "reproductions", digest[:16], work.conditions())
        with own_folder as place, stop_on_signals(again, seconds_to_stop(Compute())) as stop:
            found = work.carry_out(asset, place, stop)
            ledger.receipts.add(digest, RECEIPT, found.same, _evidence(found))
            if not keep:
                discard(place)
                return found
            kept = place.with_name(f"kept-{digest[:12]}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
            place.rename(kept)
            return found.model_copy(update={"kept": kept})
    except OSError as error:
        raise os_failure(error, where=f"reproduction of {digest[:12]}") from error


def _evidence(found: Reproduction) -> dict[str, Any]:
    """What of it is worth a signature: all that decides the verdict, and what explains it."""
    return {
        "first_difference": found.first_difference,
        "given": [each.model_dump() for each in found.given],
        "steps": [
            step.model_dump(mode="json", include={"name", "key", "outcome", "sources", "reason", "recorded_inputs"})
            | {"outputs": {each.role: {"recorded": each.recorded, "found": each.found} for each in step.outputs}}
            | {"metrics": [each.model_dump() for each in step.metrics[:_LONGEST_EVIDENCE]]}
            | {"environment": [each.model_dump() for each in step.environment[:_LONGEST_EVIDENCE]]}
            for step in found.steps
        ],
    }


class _Work:
    """What `reproduce` knows while it works."""

    def __init__(
        self, ledger: Ledger, lineage: Sequence[Ancestor], threads: int | None, observer: Observer, keep: bool
    ) -> None:
        self._ledger = ledger
        self._lineage = lineage
        self._readers = {ancestor.action.key: OutsideReader(ledger, ancestor) for ancestor in lineage}
        self._threads = {
            ancestor.action.key: threads or ancestor.action.environment.get("threads") or default_threads()
            for ancestor in lineage
        }
        self._observer = observer
        self._keep = keep
        self._made: dict[str, MadeAgain] = {}
        last = self._readers[lineage[-1].action.key]
        if not last.has_snapshot:
            _require_sources(lineage[-1], last.find_originals().reason)

    def conditions(self) -> str:
        """A digest of the environment that the steps are to run in."""
        steps = {key: full_environment(reader.step, self._threads[key]) for key, reader in self._readers.items()}
        return digest_of({"steps": steps, "process": computing_environment()["variables"]})

    def carry_out(self, asset: Asset, place: Path, stop: StopRequest) -> Reproduction:
        seconds = sum(ancestor.action.seconds for ancestor in self._lineage)
        started = {"event": "reproduction-started", "asset": asset.digest, "kind": asset.kind}
        self._observer({**started, "steps": len(self._lineage), "seconds": seconds})
        for number, ancestor in enumerate(self._lineage):
            stop.check()
            made = self._made_again(ancestor, place / ancestor.action.key, stop)
            self._made[ancestor.action.key] = made
            report = made.report
            self._observer(
                {"event": "step-judged", "step": ancestor.name, "outcome": report.outcome, "reason": report.reason}
            )
            if not self._keep:
                self._let_go(place, self._lineage[number + 1 :])
        steps = tuple(self._made[ancestor.action.key].report for ancestor in self._lineage)
        _require_sources(self._lineage[-1], steps[-1].reason)
        differing = [step.name for step in steps if step.outcome == "differs"]
        return Reproduction(
            asset=asset.digest,
            kind=asset.kind,
            same=not differing,
            first_difference=differing[0] if differing else None,
            steps=steps,
            given=tuple(
                GivenAsset(asset=digest, kind=self._ledger.assets.get(digest).kind, used_by=ancestor.name)
                for ancestor in self._lineage
                for role, digest in ancestor.action.inputs.items()
                if role not in ancestor.makers
            ),
        )

    def _made_again(self, ancestor: Ancestor, folder: Path, stop: StopRequest) -> MadeAgain:
        """Carry a step out again, unless a process before this one has got that far."""
        folder.mkdir(exist_ok=True)
        written = folder / "made.json"
        if written.exists():
            return MadeAgain.model_validate_json(written.read_text(encoding="utf-8"))
        inputs, recorded = self._inputs(ancestor)
        key = ancestor.action.key
        step = StepAgain(self._ledger, ancestor, self._readers[key], recorded, folder, self._threads[key])
        made = step.carry_out(inputs, stop, self._observer)
        if made.report.outcome != "given":  # what it read may be there again the next time
            draft = written.with_suffix(".new")
            draft.write_text(made.model_dump_json(), encoding="utf-8")
            draft.replace(written)
        return made

    def _inputs(self, ancestor: Ancestor) -> tuple[dict[str, InputAsset], tuple[str, ...]]:
        """What a step reads: what was made anew where that is the same; and the roles for which it is not."""
        inputs, recorded = {}, []
        for role, digest in ancestor.action.inputs.items():
            maker = self._made.get(ancestor.makers.get(role, ""))
            if maker is not None and digest in maker.directories:
                asset = self._ledger.assets.get(digest)
                inputs[role] = InputAsset(
                    digest=digest,
                    kind=asset.kind,
                    directory=maker.directories[digest],
                    metadata=asset.metadata,
                    labels=asset.labels,
                )
                continue
            inputs[role] = input_asset(self._ledger, ancestor.name, role, digest)
            if maker is not None and maker.report.outcome == "differs":
                recorded.append(role)
        return inputs, tuple(recorded)

    def _let_go(self, place: Path, ahead: Sequence[Ancestor]) -> None:
        """Remove what no step ahead reads."""
        awaited = {maker for ancestor in ahead for maker in ancestor.makers.values()}
        for key in self._made:
            for name in ("sources", "state", *(() if key in awaited else ("outputs",))):
                shutil.rmtree(place / key / name, ignore_errors=True)


def _require_sources(ancestor: Ancestor, reason: str | None) -> None:
    """Raise Failure if the step that made the asset itself cannot be carried out again: nothing would be shown."""
    if reason is not None:
        raise Failure(
            f"the step that made it cannot be carried out again: {reason}",
            where=f"step {ancestor.name!r}",
            hint="put what it read back where it was",
        )
