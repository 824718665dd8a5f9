"""Shapes of models: the named ones, and what those of a recipe would cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from loresmith.models import families
from loresmith.models.architecture import Architecture
from loresmith.models.presets import PRESETS
from loresmith.sdk.call import Answer, Call, Emit, FolderCall, Request
from loresmith.sdk.calls.recipes import DEFAULT_RECIPE
from loresmith.sdk.model_costs import RecipeModels

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class PresetsRequest(Request):
    """What `models presets` takes."""

    kind: Literal["dense", "moe"] | None = Field(
        default=None, description="List dense models or mixtures of experts only."
    )


class PresetDoc(Answer):
    """A named size."""

    name: str = Field(description="What a recipe writes after `preset:`.")
    kind: Literal["dense", "moe"] = Field(description="Dense, or a mixture of experts.")
    family: str = Field(description="Its family.")
    layers: int = Field(description="Decoder layers.")
    width: int = Field(description="Size of the residual stream.")
    vocabulary_size: int = Field(description="With how many tokens its parameters are counted here.")
    parameters: int = Field(description="All parameters, tied ones once.")
    active_parameters: int = Field(description="Those that a token meets.")
    summary: str = Field(description="What it is for, or whose it is.")


class PresetList(Answer):
    """Named sizes."""

    presets: tuple[PresetDoc, ...] = Field(description="Dense ones first.")


def _presets(_folder: Path, request: PresetsRequest, _emit: Emit) -> PresetList:
    documented = (_document(name) for name in PRESETS)
    return PresetList(presets=tuple(preset for preset in documented if request.kind in (None, preset.kind)))


def _document(name: str) -> PresetDoc:
    preset, shape = PRESETS[name], Architecture(preset=name)
    parameters = families.count(shape, preset.vocabulary)
    return PresetDoc(
        name=name,
        kind="moe" if shape.mixes_experts else "dense",
        family=shape.family,
        layers=shape.layers,
        width=shape.width,
        vocabulary_size=preset.vocabulary,
        parameters=parameters.total,
        active_parameters=parameters.active,
        summary=preset.summary,
    )


PRESETS_CALL = FolderCall(
    "models presets",
    "List the named sizes of models that a recipe's `architecture` takes.",
    PresetsRequest,
    PresetList,
    _presets,
    example="models presets --kind moe",
)


class DescribeRequest(Request):
    """What `models describe` takes."""

    recipe: Path = Field(
        default=DEFAULT_RECIPE, description="The recipe, a YAML file.", json_schema_extra={"positional": True}
    )
    settings: tuple[str, ...] = Field(
        default=(),
        description="Change a key of the recipe first, such as `steps.base.architecture.layers=12`. May be given "
        "several times.",
        json_schema_extra={"option": "set", "metavar": "KEY=VALUE"},
    )


def _describe(workspace: Workspace, request: DescribeRequest, _emit: Emit) -> RecipeModels:
    return workspace.describe_models(request.recipe, request.settings)


DESCRIBE = Call(
    "models describe",
    "Say what the models that a recipe trains cost: parameters, operations, memory, and tokens worth training on.",
    DescribeRequest,
    RecipeModels,
    _describe,
    example="models describe recipe.yaml --set steps.base.architecture.layers=12",
)
