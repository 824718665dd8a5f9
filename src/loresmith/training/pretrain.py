"""Pre-training, from tokens to a saved model: from scratch, or going on from a base."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from loresmith.data.shards import TokenShards
from loresmith.errors import UserError
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.isolation import require_isolation
from loresmith.models.storage import load_weights
from loresmith.training.batches import RowBatches
from loresmith.training.callbacks import HELD_OUT, Measure, Surroundings
from loresmith.training.causal_lm import CausalLM
from loresmith.training.fit import fit
from loresmith.training.held_out import HeldOut
from loresmith.training.packed_rows import document_rows
from loresmith.training.rows import RowSource
from loresmith.training.saving import Saved, save_trained
from loresmith.training.stream_rows import StreamRows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from loresmith.training.steps.pretrain import PretrainConfig

TOKENIZER = "tokenizer"
"""Where a `tokens` asset carries the tokenizer that made it."""

GENERAL = "general_bits_per_byte"
"""The held-out number of the replayed tokens: what a model forgets shows in it."""


@dataclass(frozen=True)
class Base:
    """A model to go on from: its directory and its digest."""

    directory: Path
    digest: str


def pretrain(
    surroundings: Surroundings, config: PretrainConfig, tokens: Path, base: Base | None, replay: Path | None
) -> Saved:
    """Train a causal language model, going on from the newest checkpoint in `surroundings.work` if there is one.

    Args:
        tokens: a `tokens` asset.
        base: a model to go on from, or None for a new one.
        replay: a `tokens` asset of general text, of which `config.replay_share` is mixed in, or None.

    Raises:
        UserError: tokens, base and config do not fit together; found before the first step.
        Failure: the training diverged, or the saved model is not the trained one.
    """
    shards = TokenShards.open(tokens)
    general = TokenShards.open(replay) if replay is not None else None
    _require_sense(config, base, general)
    batches = RowBatches(
        _rows(shards, config, "tokens"),
        config.sequence_length,
        config.batch_tokens,
        config.micro_batch_tokens,
        surroundings.seed,
        replay=_rows(general, config, "replay") if general is not None and config.replay_share else None,
        replay_share=config.replay_share,
    )
    model = _first_model(config, shards, base, surroundings.seed)
    for other in (shards, *([general] if general is not None else [])):
        _require_fit(model, other, config.sequence_length)
    if config.isolate_documents:
        require_isolation(model)
    measures = [_measure(HELD_OUT, shards, config, base, surroundings)]
    if general is not None:
        measures.append(_measure(GENERAL, general, config, base, surroundings))
    fitted = fit(
        surroundings,
        config,
        model,
        batches,
        CausalLM(config.z_loss),
        [measure for measure in measures if measure is not None],
        isolated=config.isolate_documents,
    )
    return save_trained(surroundings, config, fitted, batches, tokens / TOKENIZER, base)


def _rows(shards: TokenShards, config: PretrainConfig, name: str) -> RowSource:
    if config.isolate_documents:
        return document_rows(shards, "train", config.sequence_length, name)
    return StreamRows(shards.split("train"), config.sequence_length, name)


def _measure(
    name: str, shards: TokenShards, config: PretrainConfig, base: Base | None, surroundings: Surroundings
) -> Measure | None:
    held_out = HeldOut(shards, config.held_out_tokens, config.sequence_length, 2 * config.micro_batch_tokens)
    if not held_out.documents:
        surroundings.log(f"there will be no {name}: these tokens have no validation split")
        return None
    return Measure(name, held_out.bits_per_byte, at_start=base is not None, of_bytes=held_out.bytes)


def _require_sense(config: PretrainConfig, base: Base | None, general: TokenShards | None) -> None:
    if base is None and config.adapter is not None:
        raise UserError("an adapter needs a base to adapt", hint="give `base`, or leave out `adapter`")
    if base is not None and config.architecture is not None:
        raise UserError("a base has its own architecture", hint="leave out `architecture`, or the base")
    if general is None and config.replay_share:
        raise UserError("replay_share needs tokens to replay", hint="give `replay`, a step that packs general text")


def _first_model(config: PretrainConfig, shards: TokenShards, base: Base | None, seed: int) -> PreTrainedModel:
    """The model before its first step, in fp32 on the CPU."""
    if base is not None:
        model = load_weights(base.directory, torch.float32)
        _require_same_tokenizer(shards.directory / TOKENIZER, base.directory)
        return model
    settings = transformers_config(
        config.architecture or Architecture(),
        vocabulary_size=shards.vocabulary_size,
        positions=config.sequence_length,
        end_of_document=shards.end_of_document,
    )
    return build_model(settings, seed)


def _require_fit(model: PreTrainedModel, shards: TokenShards, sequence_length: int) -> None:
    embedding: Any = model.get_input_embeddings()
    rows = embedding.weight.shape[0]
    if shards.vocabulary_size > rows:
        raise UserError(
            f"the tokens have a vocabulary of {shards.vocabulary_size}, the model an embedding of {rows} rows",
            hint="pack the text with the model's own tokenizer",
        )
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and sequence_length > positions:
        raise UserError(f"sequence_length {sequence_length} is more than the model's {positions} positions")


def _require_same_tokenizer(tokens: Path, base: Path) -> None:
    ours, theirs = tokens / "tokenizer.json", base / "tokenizer.json"
    if ours.is_file() and theirs.is_file() and ours.read_bytes() != theirs.read_bytes():
        raise UserError(
            "the tokens were made by another tokenizer than the base's",
            where=str(ours),
            hint="pack the text with the base's tokenizer",
        )
