"""One step of a plan, resolved, and where its inputs come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.factory.forecast import Forecast
from loresmith.ledger import Ledger
from loresmith.ledger.digest import digest_of
from loresmith.ledger.erasures import effect_of


class PlannedInput(BaseModel):
    """Where an input comes from: another step of the plan, or an asset that is pinned by its digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str | None = Field(default=None, description="The step of this plan that makes it.")
    output: str | None = Field(default=None, description="Which of that step's outputs.")
    reference: str | None = Field(default=None, description="The reference to the ledger, as the recipe has it.")
    asset: str | None = Field(default=None, description="The digest that the reference stood for when planning.")


class PlannedStep(BaseModel):
    """One step, resolved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="The step's name in the recipe.")
    step: str = Field(description="Which kind of step.")
    version: int = Field(description="The version of that kind.")
    config: dict[str, Any] = Field(description="The settings, to the last default, without locations.")
    locations: dict[str, Any] = Field(description="The settings that say where something lies.")
    fingerprint: str | None = Field(description="Digest of what lies there.")
    erased: str | None = Field(
        default=None, description="Digest of what was erased from the workspace, where the step has to leave it out."
    )
    environment: dict[str, Any] = Field(description="The software that decides the result.")
    inputs: dict[str, PlannedInput] = Field(description="Where each input comes from, by role.")
    key: str | None = Field(description="The action key, once all inputs are known.")
    state: Literal["cached", "to do"] = Field(description="Whether the ledger already has its outputs.")
    outputs: dict[str, str] = Field(description="Digests of the outputs by role, when cached.")
    forecast: Forecast | None = Field(description="What it will take; absent when cached.")

    def resolved_config(self) -> dict[str, Any]:
        """All settings, as the step's function gets them."""
        return {**self.config, **self.locations}

    def identity(self) -> dict[str, Any]:
        """What of this step decides the result."""
        return {
            "name": self.name,
            "step": self.step,
            "version": self.version,
            "config": self.config,
            "fingerprint": self.fingerprint,
            **self._left_out(),
            "environment": self.environment,
            "inputs": {
                role: {"asset": source.asset} if source.step is None else {"step": source.step, "output": source.output}
                for role, source in self.inputs.items()
            },
        }

    def action_key(self, seed: int, inputs: Mapping[str, str]) -> str:
        """The key under which the ledger finds the result: same key, same assets."""
        return digest_of(
            {
                "step": self.step,
                "version": self.version,
                "config": self.config,
                "fingerprint": self.fingerprint,
                **self._left_out(),
                "environment": self.environment,
                "inputs": dict(inputs),
                "seed": seed,
            }
        )

    def _left_out(self) -> dict[str, str]:
        """Where nothing was ever erased, keys are as they were before anything could be."""
        return {} if self.erased is None else {"erased": self.erased}


def registered_assets(
    ledger: Ledger, kind: str, own: Iterable[PlannedInput], planned: Mapping[str, PlannedStep]
) -> list[PlannedInput]:
    """Every asset of a kind that the ledger has, by digest, but for those whose content was erased, and those that are
    there because this plan's own steps have made them already."""
    marks = ledger.erasures.marks()
    made = {planned[source.step].outputs.get(source.output or "") for source in own if source.step is not None}
    there = (asset.digest for asset in ledger.assets.list(kind))
    digests = sorted(digest for digest in there if effect_of(marks.get(digest, ())) != "erased")
    return [PlannedInput(reference=f"every {kind}", asset=digest) for digest in digests if digest not in made]
