"""What a step will take, learnt from past runs of that step on this machine where there are any."""

from __future__ import annotations

import socket
import statistics
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loresmith.factory.step import Guess, Step
from loresmith.ledger import Action, Ledger

_UNKNOWN = Guess(seconds=30, peak_bytes=1 << 30, output_bytes=50 << 20)


class Forecast(BaseModel):
    """Expected cost of one step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = Field(description="Wall time.")
    peak_bytes: int = Field(description="Peak resident memory.")
    output_bytes: int = Field(description="Size of what it makes.")
    basis: Literal["measured", "guess"] = Field(description="Whether past runs of this step are behind it.")
    runs: int = Field(description="How many past runs are behind it.")


def forecast(step: Step, config: Any, inputs: Mapping[str, str] | None, ledger: Ledger) -> Forecast:
    """Forecast a step from its past runs on this host.

    Time and output are scaled by the step's own measure of work where it has one, else by the size of the inputs
    where they are known, else taken as they were; the median of the scaled runs is given. Memory is the largest seen.

    Args:
        inputs: digests by role, or None while an input is still to be made.
    """
    host = socket.gethostname()
    past = [action for action in ledger.actions.past(step.name, limit=20) if action.environment.get("host") == host]
    if not past:
        guess = step.guess(config) if step.guess is not None else _UNKNOWN
        return Forecast(
            seconds=guess.seconds, peak_bytes=guess.peak_bytes, output_bytes=guess.output_bytes, basis="guess", runs=0
        )
    scales = [_scale(step, config, inputs, action, ledger) for action in past]
    return Forecast(
        seconds=statistics.median(action.seconds * scale for action, scale in zip(past, scales, strict=True)),
        peak_bytes=max(action.peak_bytes for action in past),
        output_bytes=int(
            statistics.median(action.output_bytes * scale for action, scale in zip(past, scales, strict=True))
        ),
        basis="measured",
        runs=len(past),
    )


def _scale(step: Step, config: Any, inputs: Mapping[str, str] | None, past: Action, ledger: Ledger) -> float:
    """How many times the work of a past action this one is."""
    if step.workload is not None:
        try:
            before = step.workload(step.config.model_validate(past.config))
        except ValidationError:  # the step's settings have changed their form since
            return 1.0
        return step.workload(config) / before if before else 1.0
    if inputs and past.inputs:
        before = sum(ledger.assets.get(digest).size for digest in past.inputs.values())
        after = sum(ledger.assets.get(digest).size for digest in inputs.values())
        return after / before if before else 1.0
    return 1.0
