"""The JSON files of a model's folder: reading them, refusing what must not be, and writing them the same everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loresmith.errors import UserError

ADAPTER = "adapter_config.json"

VOLATILE_KEYS = ("_name_or_path", "_model_name_or_path", "_from_model_config", "_commit_hash")
"""Keys that say where a model came from on this machine, not what it is."""


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file of a model. Raises UserError, naming the file, if there is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"this cannot be read as JSON: {error}", where=str(file)) from error
    if not isinstance(found, dict):
        raise UserError("this should be a JSON object", where=str(file))
    return found


def model_config(directory: Path) -> dict[str, Any]:
    """What config.json says.

    Raises:
        UserError: there is none; it is that of an adapter or of a quantised model; it wants code of its own to be run.
    """
    adapter = directory / ADAPTER
    if adapter.is_file():
        base = read_json(adapter).get("base_model_name_or_path") or "a model that it does not name"
        raise UserError(
            f"this is an adapter, made for {base}, and not a model",
            where=str(adapter),
            hint="give its base here; merge the adapter first to have both in one model",
        )
    file = directory / "config.json"
    if not file.is_file():
        raise UserError("this is not a model: it has no config.json", where=str(directory))
    config = read_json(file)
    refuse_own_code(config, file)
    if "quantization_config" in config:
        method = dict(config["quantization_config"] or {}).get("quant_method", "unknown method")
        raise UserError(
            f"the weights are quantised ({method}), and cannot be trained as they are",
            where=str(file),
            hint="take the model from before it was quantised",
        )
    return config


def refuse_own_code(config: dict[str, Any], file: Path) -> None:
    """Raise UserError where a config asks for Python code that comes with the model."""
    if config.get("auto_map"):
        raise UserError(
            "this model brings Python code of its own (auto_map), and none from outside is run",
            where=str(file),
            hint="where transformers knows the model_type itself, delete auto_map from the file",
        )


def write_settings(settings: dict[str, Any], file: Path) -> None:
    """Write the settings of a model or tokenizer, without what only this machine would write."""
    kept = {key: value for key, value in settings.items() if key not in VOLATILE_KEYS}
    file.write_text(json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
