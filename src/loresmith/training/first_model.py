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
from loresmith.training.device import choose_device

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from loresmith.models.adapter_settings import AdapterSettings

TOKENIZER = "tokenizer"
"""Where a `tokens` asset carries the tokenizer that made it."""

TOKENIZER_FILE = "tokenizer.json"


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


def require_adaptable(adapter: AdapterSettings | None) -> None:
    """Raise UserError if a base cannot be adapted here as a recipe asks; to be asked before anything is read."""
    if adapter is not None and adapter.quantise_base:
        from loresmith.models.adapter_quantisation import require_quantisable

        require_quantisable(choose_device())


def require_made_by(shards: TokenShards, tokenizer: Path, whose: str, name: str = "tokens") -> None:
    """Raise UserError unless the tokenizer in a folder is the one that made some tokens.

    The ids of another one would be trained on without a complaint, and mean nothing.

    Args:
        whose: folder it is, in messages, such as "base's".
        name: of the tokens, in messages.
    """
    made_by, own = shards.directory / TOKENIZER / TOKENIZER_FILE, tokenizer / TOKENIZER_FILE
    for file, of in ((made_by, f"{name}'"), (own, whose)):
        if not file.is_file():
            raise UserError(
                f"the {of} {TOKENIZER_FILE} is missing, and nothing else says what ids mean",
                where=str(file),
                hint="`loresmith assets import` gives a model that has its tokenizer in another form one in this",
            )
    if made_by.read_bytes() != own.read_bytes():
        raise UserError(
            f"the {name} were made by another tokenizer than the {whose}",
            where=str(made_by),
            hint=f"pack the text with the {whose} tokenizer",
        )


def first_model(
    architecture: Architecture | None, shards: TokenShards, sequence_length: int, base: Base | None, seed: int
) -> PreTrainedModel:
    """The model before its first step, in fp32 on the CPU.

    Raises:
        UserError: the base does not fit the tokens.
    """
    if base is not None:
        return fitting_model(base.directory, shards, sequence_length, torch.float32, "base's")
    settings = transformers_config(
        architecture or Architecture(),
        vocabulary_size=shards.vocabulary_size,
        positions=sequence_length,
        end_of_document=shards.end_of_document,
    )
    return build_model(settings, seed)


def fitting_model(
    directory: Path, shards: TokenShards, sequence_length: int, dtype: torch.dtype, whose: str
) -> PreTrainedModel:
    """A model that reads these tokens, whose tokenizer made them.

    Args:
        dtype: of its weights.
        whose: it is, in messages, such as "base's".

    Raises:
        UserError: as of `require_made_by` and `load_weights`, or the model's embedding or window is too small.
    """
    require_made_by(shards, directory, whose)
    model = load_weights(directory, dtype)
    _require_rows(model, shards, directory)
    require_window(model, sequence_length)
    return model


def _require_rows(model: PreTrainedModel, shards: TokenShards, directory: Path) -> None:
    embedding: Any = model.get_input_embeddings()
    rows = embedding.weight.shape[0]
    if shards.vocabulary_size > rows:
        raise UserError(
            f"the tokens have a vocabulary of {shards.vocabulary_size}, the model an embedding of {rows} rows",
            where=str(directory),
            hint="pack the text with the model's own tokenizer",
        )


def require_window(model: PreTrainedModel, sequence_length: int) -> None:
    """Raise UserError if rows are longer than what a model sees at once."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and sequence_length > positions:
        raise UserError(
            f"sequence_length {sequence_length} is more than the model's {positions} positions",
            hint=f"set sequence_length to {positions} or less, or train the base with longer rows",
        )
