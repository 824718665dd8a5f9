"""Model types: those of transformers, and those of installed packages, by the entry point `loresmith.models`.

A package offers a class under the name of its `model_type`:

    [project.entry-points."loresmith.models"]
    acme-mixer = "acme_models:AcmeMixerForCausalLM"

The class is a `transformers.PreTrainedModel` whose `config_class` is a `transformers.PreTrainedConfig` with that
`model_type`. It is imported when a recipe or a saved model asks for it, and then known to transformers' Auto classes.
"""

from __future__ import annotations

import functools
import inspect
import json
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.errors import Failure, UserError
from loresmith.models.offline import transformers
from loresmith.nearest import unknown_name

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

GROUP = "loresmith.models"
NOT_SETTINGS = ("architectures", "model_type", "transformers_version")
"""Keys of a config that say what wrote it."""


def register(model_type: str) -> None:
    """Make a third party's model type known to transformers' Auto classes; do nothing where no package offers it.

    Raises:
        Failure: the package does not import, offers something else than a model class of that type, or a type that
            transformers has itself.
    """
    if model_type in _offered():
        _registered(model_type)


def provider(model_type: str) -> str | None:
    """The package that offers a model type and its version, such as `acme-models 1.2`; None where none does."""
    entry = _offered().get(model_type)
    return f"{entry.dist.name} {entry.dist.version}" if entry is not None and entry.dist is not None else None


def default_config(model_type: str) -> PreTrainedConfig:
    """The config of a causal language model's type with all its defaults.

    Raises:
        UserError: neither transformers nor an installed package has a causal language model of that type.
        Failure: as of `register`.
    """
    register(model_type)
    causal = {*transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *_offered()}
    if model_type not in causal:
        raise UserError(unknown_name("model_type", model_type, causal), hint="causal language models only")
    config: PreTrainedConfig = transformers.AutoConfig.for_model(model_type)
    return config


def known_keys(config: PreTrainedConfig) -> set[str]:
    """The names under which a config takes settings."""
    return {*config.to_dict(), *config.attribute_map}.difference(NOT_SETTINGS)


@functools.cache
def _offered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


@functools.cache
def _registered(model_type: str) -> None:
    entry = _offered()[model_type]
    try:
        model_class = entry.load()
    except (ImportError, AttributeError) as error:
        raise Failure(f"the model type {model_type!r} does not load from {entry.value}: {error}") from error
    config_class = getattr(model_class, "config_class", None)
    fits = inspect.isclass(model_class) and issubclass(model_class, transformers.PreTrainedModel)
    if not fits or getattr(config_class, "model_type", None) != model_type:
        raise Failure(
            f"the entry point {model_type!r} ({entry.value}) is no transformers model class "
            f"whose config_class has that model_type"
        )
    try:
        transformers.AutoConfig.register(model_type, config_class)
    except ValueError as error:
        raise Failure(f"{entry.value} takes a model type that transformers has itself: {error}") from error
    transformers.AutoModelForCausalLM.register(config_class, model_class)


def read_config(directory: Path) -> PreTrainedConfig:
    """The config of a saved model, of a third party's type too.

    Raises:
        UserError: there is none, or it is of an unknown type.
    """
    register_type_of(directory)
    try:
        config: PreTrainedConfig = transformers.AutoConfig.from_pretrained(
            str(directory), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"transformers cannot read this model's config: {error}", where=str(directory)) from error
    return config


def register_type_of(directory: Path) -> None:
    """Do as `register` for the model that is saved in a folder; do nothing where its type cannot be read."""
    try:
        model_type = json.loads((directory / "config.json").read_bytes()).get("model_type")
    except (OSError, ValueError, AttributeError):
        return
    if isinstance(model_type, str):
        register(model_type)
