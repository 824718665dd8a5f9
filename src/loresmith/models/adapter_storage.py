"""Adapters as PEFT directories: the same bytes for the same adapter, loaded by `peft.PeftModel.from_pretrained` too.

adapter_config.json names the base by the digest of its asset, where PEFT has the name of a model; the base's shapes are
those of the adapter's own matrices in adapter_model.safetensors.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from loresmith.errors import UserError
from loresmith.models.adapters import ADAPTER, adapter_parameters, inject
from loresmith.models.base_settings import read_json
from loresmith.models.base_weights import require_finite, tensor_sizes
from loresmith.models.storage import load_tokenizer, load_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
SETTINGS = ("config.json", "generation_config.json", CONFIG)
PREFIX = "base_model.model."
"""What PEFT writes before the name of a module."""


def save_adapter(model: PreTrainedModel, directory: Path, base: str, tokenizer: Path | None = None) -> None:
    """Write a model's adapter; neither the base's weights nor anything of this machine is part of it.

    Args:
        model: a base with an adapter, whose weights are written in the type they have.
        directory: made if it does not exist.
        base: the digest of the base's asset.
        tokenizer: a directory with the tokenizer, and the chat template, that the adapter learnt with.
    """
    directory.mkdir(parents=True, exist_ok=True)
    configs: Any = model.peft_config
    config = configs[ADAPTER]
    written = {
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": config.fan_in_fan_out,
        "inference_mode": True,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "peft_type": "LORA",
        "r": config.r,
        "target_modules": sorted(config.target_modules),
        "target_parameters": sorted(config.target_parameters or []) or None,
        "task_type": "CAUSAL_LM",
        "use_dora": config.use_dora,
        "use_rslora": config.use_rslora,
    }
    (directory / CONFIG).write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tensors = {
        stored_name(name): parameter.detach().cpu().contiguous() for name, parameter in adapter_parameters(model)
    }
    save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})
    if tokenizer is not None:
        copy_beside(tokenizer, directory)


def load_adapter(model: PreTrainedModel, directory: Path, base: str, *, trainable: bool = False) -> None:
    """Add a stored adapter to its base, in place, in fp32 whatever the base is in, as peft does.

    Args:
        model: the base.
        directory: a PEFT directory with a LoRA, DoRA or rsLoRA adapter.
        base: the digest of the base's asset.
        trainable: whether to go on training it; all else is frozen in either case.

    Raises:
        UserError: the adapter is of another base, of another kind, damaged, or not finite.
    """
    from loresmith.models.adapter_peft import peft

    require_same_base(directory, base)
    weights = _read_weights(directory)
    config = peft.LoraConfig.from_pretrained(str(directory))
    config.inference_mode = not trainable
    config.init_lora_weights = False  # all weights are in the file
    with torch.random.fork_rng(devices=[]):
        inject(model, config)
    parameters = {stored_name(name): parameter for name, parameter in adapter_parameters(model)}
    _require_fit(directory, weights, parameters)
    for name, parameter in parameters.items():
        parameter.data = weights[name].to(parameter.device, torch.float32)


def load_adapted(
    base_directory: Path, base: str, adapter: Path, dtype: torch.dtype | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A base with its adapter, ready to be used, and the tokenizer that the adapter learnt with.

    Args:
        base_directory: the base's model directory.
        base: the digest of its asset.
        adapter: the adapter's directory.
        dtype: of the base's weights; the type they are stored in when None.

    Raises:
        UserError: as `load_weights`, `load_tokenizer` and `load_adapter`.
    """
    require_same_base(adapter, base)
    model = load_weights(base_directory, dtype)
    load_adapter(model, adapter, base)
    model.train(False)
    return model, load_tokenizer(tokenizer_of(base_directory, adapter))


def base_of(directory: Path) -> str:
    """The digest of the base that an adapter is for.

    Raises:
        UserError: there is no adapter here, or it does not say.
    """
    settings = _read_config(directory)
    base = settings.get("base_model_name_or_path")
    if not base:
        raise UserError("this adapter does not say which base it is for", where=str(directory / CONFIG))
    return str(base)


def require_same_base(directory: Path, base: str) -> None:
    """Raise UserError if the adapter in this directory is for another base than the asset of this digest."""
    own = base_of(directory)
    if own != base:
        raise UserError(
            f"this adapter is for the base {own}, and not for {base}",
            where=str(directory / CONFIG),
            hint="wire the model that it was trained on as the base",
        )


def tokenizer_of(base_directory: Path, adapter: Path) -> Path:
    """Where the tokenizer lies that an adapter learnt with: in its own directory, or else in its base's."""
    return adapter if (adapter / "tokenizer_config.json").is_file() else base_directory


def copy_beside(source: Path, target: Path) -> None:
    """Copy what a directory holds besides weights and settings: a tokenizer, its chat template, a licence."""
    for file in sorted(source.iterdir()):
        if file.is_file() and ".safetensors" not in file.name and file.name not in SETTINGS:
            shutil.copyfile(file, target / file.name)


def stored_name(name: str) -> str:
    """PEFT's name on disk of an adapter's parameter: `...q_proj.lora_A.default.weight` is `...q_proj.lora_A.weight`."""
    stored = name.replace(f".{ADAPTER}.", ".")
    return PREFIX + (stored.removesuffix(".weight") if ".lora_magnitude_vector." in stored else stored)


def _read_config(directory: Path) -> dict[str, Any]:
    file = directory / CONFIG
    if not file.is_file():
        raise UserError(f"this is not an adapter: it has no {CONFIG}", where=str(directory))
    settings = read_json(file)
    if settings.get("peft_type") != "LORA":
        kind = settings.get("peft_type", "unknown")
        raise UserError(f"an adapter of the type {kind}; LoRA, DoRA and rsLoRA can be used here", where=str(file))
    return settings


def _read_weights(directory: Path) -> dict[str, torch.Tensor]:
    file = directory / WEIGHTS
    if not file.is_file():
        raise UserError(f"this adapter has no {WEIGHTS}", where=str(directory), hint="pickled weights are never loaded")
    tensor_sizes(file)
    require_finite([file])
    weights: dict[str, torch.Tensor] = load_file(file)
    return weights


def _require_fit(directory: Path, stored: dict[str, torch.Tensor], parameters: dict[str, torch.nn.Parameter]) -> None:
    """Name the first weight by which an adapter and a base do not fit together."""
    where, hint = str(directory / WEIGHTS), "the adapter is for another base, or the file is not whole"
    for name in sorted(stored.keys() | parameters.keys()):
        shown = name.removeprefix(PREFIX)
        if name not in parameters:
            raise UserError(f"the adapter has {shown}, for which this base has no place", where=where, hint=hint)
        if name not in stored:
            raise UserError(f"the adapter lacks {shown}, which this base needs", where=where, hint=hint)
        own, needed = tuple(stored[name].shape), tuple(parameters[name].shape)
        if own != needed:
            raise UserError(
                f"the adapter's {shown} has the shape {own}, and this base needs {needed}", where=where, hint=hint
            )
