"""What running a lineage again showed, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Outcome = Literal["same", "differs", "given"]
Sources = Literal["ledger", "snapshot", "originals"]


class _Finding(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EnvironmentDifference(_Finding):
    """One thing about software or machine that was not then what it is now."""

    name: str = Field(description="What, such as `threads`, `packages.torch` or `variables.MKL_CBWR`.")
    recorded: str = Field(description="What is on record.")
    found: str = Field(description="What it is here and now.")


class FileDifference(_Finding):
    """One file of an output."""

    path: str = Field(description="Its path in the asset.")
    recorded: str | None = Field(description="SHA-256 of the file on record; null when there was none.")
    found: str | None = Field(description="SHA-256 of the file made now; null when there is none.")


class OutputComparison(_Finding):
    """One output of a step, then and now."""

    role: str = Field(description="Which output.")
    needed: bool = Field(description="Whether the reproduced asset depends on it; if not, a difference is only told.")
    recorded: str | None = Field(description="Digest of the asset on record; null when there was none.")
    found: str | None = Field(description="Digest of what was made now; null when there is none.")
    files: tuple[FileDifference, ...] = Field(description="The files that differ.")
    metadata: tuple[str, ...] = Field(description="The keys of the metadata that differ, and `labels` if those do.")

    @property
    def same(self) -> bool:
        return self.recorded == self.found


class MetricDifference(_Finding):
    """Where a metric first leaves the record, compared to the last bit."""

    name: str = Field(description="Which metric, such as `loss`.")
    position: float = Field(description="The first position that differs, in the step's unit: tokens, documents.")
    number: int = Field(description="Which of the values on record that is, counted from 1.")
    values: int = Field(description="How many values of it are on record.")
    recorded: str | None = Field(description="The value on record, in full; null when there is none there.")
    found: str | None = Field(description="The value found now, in full; null when there is none there.")


class StepReproduction(_Finding):
    """One step, carried out again and held against the record."""

    name: str = Field(description="`recipe/step`, with the beginning of the action key where two have that name.")
    step: str = Field(description="Which kind of step.")
    key: str = Field(description="The action key under which the ledger has it.")
    outcome: Outcome = Field(
        description="`same`: every output that the asset depends on has the digest on record. `differs`: one has not, "
        "though all inputs were those on record. `given`: it was not carried out, and its outputs were taken as given."
    )
    sources: Sources = Field(
        description="Where its input came from. `ledger`: from steps and assets alone. `snapshot`: it reads files from "
        "outside, and they were laid out from the snapshot in the ledger. `originals`: they were read where they lay, "
        "unchanged by their digest."
    )
    reason: str | None = Field(default=None, description="Why it was not carried out, if it was taken as given.")
    recorded_inputs: tuple[str, ...] = Field(
        description="Inputs for which the asset on record was used, since the step that makes it differs."
    )
    outputs: tuple[OutputComparison, ...] = Field(default=(), description="Its outputs, then and now.")
    metrics: tuple[MetricDifference, ...] = Field(
        default=(),
        description="For a step that differs: each metric that does, from where on. Those that measure the machine are "
        "not compared.",
    )
    numbers: int = Field(default=0, description="How many values of metrics on record were compared.")
    environment: tuple[EnvironmentDifference, ...] = Field(
        default=(), description="What was different in the environment."
    )
    unrecorded: tuple[str, ...] = Field(
        default=(),
        description="Parts of the environment of which nothing is on record, so that they cannot be compared.",
    )
    threads: int = Field(description="CPU threads it was given.")
    seconds: float | None = Field(default=None, description="Wall time now; null when it was not carried out.")
    recorded_seconds: float = Field(description="Wall time then.")


class GivenAsset(_Finding):
    """An asset that no step made: it was added by hand, and is where the lineage begins."""

    asset: str = Field(description="Its digest.")
    kind: str = Field(description="What it is.")
    used_by: str = Field(description="The step that reads it.")


class Reproduction(_Finding):
    """An asset's lineage, run again."""

    asset: str = Field(description="The digest of the asset that was to be reproduced.")
    kind: str = Field(description="What it is.")
    same: bool = Field(description="Whether every step that was carried out again gave what is on record.")
    first_difference: str | None = Field(description="The first step, in the order of the lineage, that differs.")
    steps: tuple[StepReproduction, ...] = Field(description="The steps of the lineage, in the order in which they ran.")
    given: tuple[GivenAsset, ...] = Field(description="Assets that were added by hand, and taken as they are.")
    kept: Path | None = Field(default=None, description="Where what was made now is kept, if that was asked for.")
