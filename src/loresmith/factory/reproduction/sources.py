"""What a step of a lineage once read from outside the ledger, found again: in a snapshot, or where it lay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from loresmith.errors import Failure, UserError
from loresmith.factory.inputs import require_undamaged
from loresmith.factory.plan import stored_plan
from loresmith.factory.recipe import locations
from loresmith.factory.registry import find_step
from loresmith.factory.reproduction.lineage import Ancestor
from loresmith.factory.reproduction.report import Sources
from loresmith.factory.step import Step, StepConfig
from loresmith.ledger import Ledger
from loresmith.validation import validate


@dataclass(frozen=True)
class Found:
    """The settings with which a step can be carried out again; None, with a reason, if it cannot."""

    config: StepConfig | None
    sources: Sources
    reason: str | None = None


class OutsideReader:
    """A step of a lineage that may read from outside the ledger."""

    def __init__(self, ledger: Ledger, ancestor: Ancestor) -> None:
        """Look at the record.

        Raises:
            UserError: the step is not installed.
            Failure: it does not take the settings on record any more, or the snapshot that it would be run from is
                damaged.
        """
        action = ancestor.action
        self._ledger = ledger
        self._outputs = action.outputs
        self.step: Step = find_step(action.step)
        where = f"step {ancestor.name!r}"
        try:
            self.config = validate(self.step.config, action.config, {}, f"the settings of {where} on record")
        except UserError as error:
            made_by = action.environment.get("loresmith", "another version")
            raise Failure(error.what, where=error.where, hint=f"they were those of Loresmith {made_by}") from error
        self._places = {
            name: getattr(self.config, name)
            for name in locations(self.step.config)
            if getattr(self.config, name) is not None
        }
        planned = {step.name: step for step in stored_plan(ledger.runs.get(action.run)).steps}.get(action.name)
        self._fingerprint = planned.fingerprint if planned is not None else None
        if self.has_snapshot:
            for role, digest in action.outputs.items():
                require_undamaged(ledger, digest, f"the snapshot {role!r} of what it read", where)

    @property
    def has_snapshot(self) -> bool:
        """Whether what it read can be laid out from what it made."""
        return bool(self._places) and self.step.restore_sources is not None

    def find(self, folder: Path) -> Found:
        """Find what it read, in the snapshot first.

        Args:
            folder: an empty folder, in which a snapshot is laid out.
        """
        if not self.has_snapshot:
            return self.find_originals()
        found = self._restored(folder)
        if found.config is not None:
            return found
        originals = self.find_originals()
        return (
            originals if originals.config is not None else replace(found, reason=f"{found.reason}; {originals.reason}")
        )

    def find_originals(self) -> Found:
        """Find what it read where it read it, if that is unchanged."""
        if self.step.fingerprint is None and not self._places:
            return Found(self.config, "ledger")
        if self._fingerprint is None or self.step.fingerprint is None:
            return Found(None, "originals", "it reads from outside, and nothing on record says what was there")
        try:
            unchanged = self._fingerprint_of(self.config) == self._fingerprint
        except (UserError, Failure) as error:
            return Found(None, "originals", f"what it read is gone: {_in_short(error)}")
        if not unchanged:
            where = "".join(f": {place}" for place in self._places.values())
            return Found(None, "originals", f"what it read has changed since{where}")
        # Without inputs it has to read something outside, such as an installed package, though no place is named.
        return Found(self.config, "originals" if self._places or not self.step.inputs else "ledger")

    def _fingerprint_of(self, config: StepConfig) -> str | None:
        return self.step.fingerprint_of(config, None, self._ledger.erasures.known())

    def _restored(self, folder: Path) -> Found:
        assert self.step.restore_sources is not None
        assert self.step.fingerprint is not None, "a step that can restore what it read can tell it apart"
        views = {role: self._ledger.assets.directory(digest) for role, digest in self._outputs.items()}
        try:
            config: StepConfig = self.step.restore_sources(self.config, views, folder)
            whole = self._fingerprint_of(config) == self._fingerprint
        except UserError as error:
            return Found(None, "snapshot", f"its snapshot lacks something: {_in_short(error)}")
        return Found(config, "snapshot") if whole else Found(None, "snapshot", "its snapshot lacks something")


def _in_short(error: UserError | Failure) -> str:
    return f"{error.where}: {error.what}" if error.where else error.what
