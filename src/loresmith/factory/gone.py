"""Files that a step of a recipe has read from its place before, and that are not there any more.

An asset follows from what is there now, so what was there before is no fact of it: the run says it, on the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from loresmith.factory.planned import PlannedStep
from loresmith.factory.registry import find_step
from loresmith.ledger import Ledger

_NAMED = 100
_FILES = "files/"
_SNAPSHOT = "source"


class Gone(BaseModel):
    """Files that were there when the step was last carried out, or found done, and are not any more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: int = Field(description="How many.")
    first: tuple[str, ...] = Field(description=f"Their paths, in order; of more than {_NAMED} the first.")


def gone_since(ledger: Ledger, recipe: str, planned: PlannedStep, outputs: Mapping[str, str]) -> Gone | None:
    """What the step read from the same place when this recipe was last run, and what is not there now.

    Args:
        recipe: its name.
        outputs: the digests of what the step has now, by role.

    Raises:
        Failure: the books of what it has now are damaged.
    """
    step = find_step(planned.step)
    before = _outputs_before(ledger, recipe, planned)
    if step.gone is None or before is None or before == outputs.get(_SNAPSHOT):
        return None
    erased = ledger.erasures.known()
    now = ledger.assets.get(outputs[_SNAPSHOT]).files
    missing = {
        name.removeprefix(_FILES)
        for name, file in ledger.assets.get(before).files.items()
        if name.startswith(_FILES) and name not in now and file.digest not in erased
    }
    if not missing:
        return None
    config = step.config.model_validate(planned.resolved_config())
    (made,) = outputs.keys() - {_SNAPSHOT}
    found = sorted(step.gone(config, missing, ledger.assets.directory(outputs[made])))
    return Gone(files=len(found), first=tuple(found[:_NAMED])) if found else None


def _outputs_before(ledger: Ledger, recipe: str, planned: PlannedStep) -> str | None:
    """The snapshot that stood last for a step of a recipe, if it was of the same place."""
    event = ledger.runs.last_outputs(recipe, planned.name)
    action = ledger.actions.find(event.data["key"]) if event is not None else None
    if event is None or action is None or action.step != planned.step:
        return None
    steps: list[dict[str, Any]] = ledger.runs.get(event.run).plan["steps"]
    places = [step["locations"] for step in steps if step["name"] == planned.name]
    return action.outputs.get(_SNAPSHOT) if places == [planned.locations] else None
