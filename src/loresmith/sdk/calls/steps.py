"""Say what steps there are, and what each takes."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from loresmith.factory.registry import find_step, step_names
from loresmith.factory.step import Step
from loresmith.sdk.call import Answer, Emit, FolderCall, Request
from loresmith.sdk.describe import FieldDoc, describe


class StepsRequest(Request):
    """What `steps` takes."""

    name: str | None = Field(
        default=None, description="The step to document. Default: list all.", json_schema_extra={"positional": True}
    )


class RoleDoc(Answer):
    """One input or output of a step."""

    role: str = Field(description="Its key in a recipe.")
    kind: str = Field(description="The kind of asset.")
    summary: str = Field(description="What it is for.")
    optional: bool = Field(description="Whether it can be left out.")
    many: bool = Field(default=False, description="Whether several can be given, in a list or each under a name.")


class StepDoc(Answer):
    """One kind of step."""

    name: str = Field(description="What a recipe writes after `step:`.")
    version: int = Field(description="Raised whenever the same settings and inputs would give other outputs.")
    summary: str = Field(description="What it does.")
    inputs: tuple[RoleDoc, ...] = Field(description="What goes in.")
    outputs: tuple[RoleDoc, ...] = Field(description="What comes out.")
    settings: tuple[FieldDoc, ...] = Field(description="Its settings.")


class StepList(Answer):
    """Installed steps."""

    steps: tuple[StepDoc, ...] = Field(description="By name.")


def document(step: Step) -> StepDoc:
    """What a step says of itself."""
    return StepDoc(
        name=step.name,
        version=step.version,
        summary=step.summary,
        inputs=tuple(
            RoleDoc(
                role=role,
                kind=given.kind,
                summary=given.summary,
                optional=given.optional or given.every,
                many=given.many,
            )
            for role, given in step.inputs.items()
        ),
        outputs=tuple(
            RoleDoc(role=role, kind=made.kind, summary=made.summary, optional=False)
            for role, made in step.outputs.items()
        ),
        settings=describe(step.config),
    )


def _steps(_folder: Path, request: StepsRequest, _emit: Emit) -> StepList:
    names = [request.name] if request.name is not None else step_names()
    return StepList(steps=tuple(document(find_step(name)) for name in names))


STEPS = FolderCall(
    "steps",
    "List the installed steps, or document one: inputs, outputs and settings.",
    StepsRequest,
    StepList,
    _steps,
    example="steps pretrain",
)
