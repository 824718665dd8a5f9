"""The model before its first step on packed tokens: a new one, or a base that fits them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from loresmith.data.shards import TokenShards
from loresmith.errors import UserError
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.storage import load_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from loresmith.models.adapter_settings import AdapterSettings

TOKENIZER = "tokenizer"
"""Where a `tokens` asset carries the tokenizer that made it."""


@dataclass(frozen=True)
class Base:
    """A model to go on from: its directory and its digest."""

    directory: Path
    digest: str


def require_one_shape(architecture: Architecture | None, adapter: AdapterSettings | None, base: Base | None) -> None:
    """Raise UserError where a recipe says twice what a model is to be, or adapts none."""
    if base is None and adapter is not None:
        raise UserError("an adapter needs a base to adapt", hint="give `base`, or leave out `adapter`")
    if base is not None and architecture is not None:
        raise UserError("a base has its own architecture", hint="leave out `architecture`, or the base")


def first_model(
    architecture: Architecture | None, shards: TokenShards, sequence_length: int, base: Base | None, seed: int
) -> PreTrainedModel:
    """The model before its first step, in fp32 on the CPU.

    Raises:
        UserError: the base does not fit the tokens.
    """
    if base is not None:
        return fitting_model(base.directory, shards, sequence_length, torch.float32, "base")
    settings = transformers_config(
        architecture or Architecture(),
        vocabulary_size=shards.vocabulary_size,
        positions=sequence_length,
        end_of_document=shards.end_of_document,
    )
    return build_model(settings, seed)


def fitting_model(
    directory: Path, shards: TokenShards, sequence_length: int, dtype: torch.dtype, role: str
) -> PreTrainedModel:
    """A model that reads these tokens, whose tokenizer made them.

    Args:
        dtype: of its weights.
        role: what messages call it, such as `base`.

    Raises:
        UserError: it was another tokenizer, or the model's embedding or window is too small.
    """
    model = load_weights(directory, dtype)
    _require_same_tokenizer(shards.directory / TOKENIZER, directory, role)
    require_fit(model, shards, sequence_length)
    return model


def require_fit(model: PreTrainedModel, shards: TokenShards, sequence_length: int) -> None:
    """Raise UserError if tokens have no row in a model's embedding, or rows of them no place in its window."""
    embedding: Any = model.get_input_embeddings()
    rows = embedding.weight.shape[0]
    if shards.vocabulary_size > rows:
        raise UserError(
            f"the tokens have a vocabulary of {shards.vocabulary_size}, the model an embedding of {rows} rows",
            hint="pack the text with the model's own tokenizer",
        )
    require_window(model, sequence_length)


def require_window(model: PreTrainedModel, sequence_length: int) -> None:
    """Raise UserError if rows are longer than what a model sees at once."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and sequence_length > positions:
        raise UserError(f"sequence_length {sequence_length} is more than the model's {positions} positions")


def _require_same_tokenizer(tokens: Path, model: Path, role: str) -> None:
    ours, theirs = tokens / "tokenizer.json", model / "tokenizer.json"
    if ours.is_file() and theirs.is_file() and ours.read_bytes() != theirs.read_bytes():
        raise UserError(
            f"the tokens were made by another tokenizer than the {role}'s",
            where=str(ours),
            hint=f"pack the text with the {role}'s tokenizer",
        )
