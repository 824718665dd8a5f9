"""Models as plain Hugging Face directories: safetensors and JSON, the same bytes for the same model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open

from loresmith.errors import UserError
from loresmith.models.offline import transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

VOLATILE_KEYS = ("_name_or_path", "_from_model_config", "_commit_hash")
"""Keys that say where a model came from on this machine, not what it is."""


def save_model(model: PreTrainedModel, directory: Path, tokenizer: Path | None = None) -> None:
    """Write a model that `AutoModelForCausalLM` and `AutoTokenizer` load without Loresmith.

    Two models with the same config and weights make the same bytes, wherever they are written and whatever they were
    loaded from.

    Args:
        model: its weights are written in the type they have.
        directory: made if it does not exist.
        tokenizer: a directory whose files are copied in.
    """
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(directory, max_shard_size="5GB")
    for file in (directory / "config.json", directory / "generation_config.json"):
        if file.is_file():
            settings = json.loads(file.read_text(encoding="utf-8"))
            kept = {key: value for key, value in settings.items() if key not in VOLATILE_KEYS}
            file.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if tokenizer is not None:
        for file in sorted(tokenizer.iterdir()):
            if file.is_file():
                shutil.copyfile(file, directory / file.name)


def load_weights(directory: Path, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """Load a causal language model from a Hugging Face directory; no pickle is read.

    Args:
        directory: holds config.json and safetensors.
        dtype: of the weights; the type they are stored in when None.

    Raises:
        UserError: there is no model, its weights are no safetensors, or they are truncated, incomplete or not finite.
    """
    _require_whole(directory)
    try:
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            str(directory),
            dtype=dtype or "auto",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"transformers cannot load this model: {error}", where=str(directory)) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(f"the weights lack {missing[0]} and {len(missing) - 1} more", where=str(directory))
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise UserError(f"the weights hold NaN or infinity, in {name}", where=str(directory))
    loaded: PreTrainedModel = model.eval()
    return loaded


def load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """Load a transformers tokenizer from a directory.

    Raises:
        UserError: there is none.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = transformers.AutoTokenizer.from_pretrained(
            str(directory), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise UserError(f"transformers cannot load a tokenizer: {error}", where=str(directory)) from error
    return tokenizer


def load_model(directory: Path, dtype: torch.dtype | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model, ready to be used, and its tokenizer; see `load_weights` and `load_tokenizer`."""
    return load_weights(directory, dtype), load_tokenizer(directory)


def _require_whole(directory: Path) -> None:
    """Name the file that is missing or damaged, which transformers does not."""
    if not (directory / "config.json").is_file():
        raise UserError("this is not a model: it has no config.json", where=str(directory))
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise UserError(
            "this model has no safetensors weights", where=str(directory), hint="pickled weights are never loaded"
        )
    for file in files:
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(f"the weights are damaged or cut short: {error}", where=str(file)) from error
