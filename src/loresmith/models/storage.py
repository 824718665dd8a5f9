"""Models as plain Hugging Face directories: safetensors and JSON, the same bytes for the same model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from loresmith.errors import UserError
from loresmith.models.base_settings import write_settings
from loresmith.models.base_weights import require_finite, require_whole
from loresmith.models.model_types import register_type_of
from loresmith.models.offline import transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


SETTINGS = ("config.json", "generation_config.json")


def save_model(model: PreTrainedModel, directory: Path, tokenizer: Path | None = None) -> None:
    """Write a model that `AutoModelForCausalLM` and `AutoTokenizer` load without Loresmith.

    Two models with the same config and weights make the same bytes, wherever they are written and whatever they were
    loaded from.

    Args:
        model: its weights are written in the type they have.
        directory: made if it does not exist.
        tokenizer: a directory whose files are copied in; a model's will do, whose weights are left where they are.
    """
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(directory, max_shard_size="5GB")
    for file in (directory / name for name in SETTINGS):
        if file.is_file():
            write_settings(json.loads(file.read_text(encoding="utf-8")), file)
    if tokenizer is not None:
        copy_files(tokenizer, directory)


def copy_files(source: Path, target: Path) -> None:
    """Copy the files of a folder, but no weights or settings of a model that may lie there too."""
    for file in sorted(source.iterdir()):
        if file.is_file() and ".safetensors" not in file.name and file.name not in SETTINGS:
            shutil.copyfile(file, target / file.name)


def load_weights(directory: Path, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """Load a causal language model from a Hugging Face directory; no pickle is read and no code from outside is run.

    Args:
        directory: holds config.json and safetensors.
        dtype: of the weights; the type they are stored in when None.

    Raises:
        UserError: there is no model, or an adapter instead; the weights are no safetensors, cut short, not finite,
            lack a shard or a tensor, or are not those of the model that config.json describes. The file is named.
    """
    require_finite(require_whole(directory))
    register_type_of(directory)
    try:
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            str(directory),
            dtype=dtype or "auto",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # they are told of below, with their names
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError) as error:
        said = str(error).partition("\nModel type should be one of")[0]  # hundreds of names follow
        raise UserError(f"transformers cannot load this model: {said}", where=str(directory)) from error
    _require_described(report, model.config.model_type, directory)
    loaded: PreTrainedModel = model.eval()
    return loaded


def _require_described(report: dict[str, Any], model_type: str, directory: Path) -> None:
    """Raise UserError where the weights are not those that config.json describes."""
    if report["mismatched_keys"]:
        name, found, wanted = sorted(report["mismatched_keys"])[0]
        raise UserError(
            f"{name} is {_shape(found)} in the weights and {_shape(wanted)} by config.json", where=str(directory)
        )
    if report["missing_keys"]:
        raise UserError(f"the weights lack {_several(report['missing_keys'])}", where=str(directory))
    if report["unexpected_keys"]:
        raise UserError(
            f"the weights hold {_several(report['unexpected_keys'])}, for which a {model_type} model with this "
            "config.json has no place",
            where=str(directory),
            hint="nothing is left out silently: the config is that of another model",
        )


def _several(names: Any) -> str:
    first, *others = sorted(names)
    return f"{first} and {len(others)} more" if others else str(first)


def _shape(sizes: Any) -> str:
    return " x ".join(map(str, sizes))


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
    """A model, ready to be used, and its tokenizer; see `load_weights` and `load_tokenizer`.

    Raises:
        UserError: the tokenizer has tokens for which the model has no embedding, too.
    """
    model, tokenizer = load_weights(directory, dtype), load_tokenizer(directory)
    require_fit(model, max(tokenizer.get_vocab().values()), directory)
    return model, tokenizer


def embedding_rows(model: PreTrainedModel) -> int:
    """How many tokens a model has an embedding for."""
    embedding: Any = model.get_input_embeddings()
    return int(embedding.weight.shape[0])


def require_fit(model: PreTrainedModel, highest_token: int, directory: Path) -> None:
    """Raise UserError if a tokenizer's highest token has no row in the model's embedding."""
    rows = embedding_rows(model)
    if highest_token >= rows:
        raise UserError(
            f"the tokenizer has tokens up to {highest_token}, and the model's embedding {rows} rows: "
            "they do not belong together",
            where=str(directory),
        )
