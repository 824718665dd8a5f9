"""Pre-training, from tokens to a saved model: from scratch, or going on from a base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.errors import UserError
from loresmith.models.isolation import require_isolation
from loresmith.training.batches import RowBatches
from loresmith.training.callbacks import HELD_OUT, Surroundings
from loresmith.training.causal_lm import CausalLM
from loresmith.training.first_model import (
    TOKENIZER,
    Base,
    first_model,
    require_adaptable,
    require_made_by,
    require_one_shape,
)
from loresmith.training.fit import fit
from loresmith.training.saving import Saved, save_trained
from loresmith.training.token_data import held_out_measure, learnable, token_rows

if TYPE_CHECKING:
    from loresmith.training.steps.pretrain import PretrainConfig

__all__ = ["GENERAL", "Base", "pretrain"]

GENERAL = "general_bits_per_byte"
"""The held-out number of the replayed tokens: what a model forgets shows in it."""


def pretrain(
    surroundings: Surroundings, config: PretrainConfig, tokens: Path, base: Base | None, replay: Path | None
) -> Saved | None:
    """Train a causal language model, going on from the newest checkpoint in `surroundings.work` if there is one.

    Args:
        tokens: a `tokens` asset.
        base: a model to go on from, or None for a new one.
        replay: a `tokens` asset of general text, of which `config.replay_share` is mixed in, or None.

    Raises:
        UserError: tokens, base and config do not fit together, or a document in the tokens may not be kept any
            more; found before the first step.
        Failure: the training diverged, or the saved model is not the trained one.
    """
    require_one_shape(config.architecture, config.adapter, base)
    require_adaptable(config.adapter)
    if replay is None and config.replay_share:
        raise UserError("replay_share needs tokens to replay", hint="give `replay`, a step that packs general text")
    shards = learnable(tokens)
    general = learnable(replay) if replay is not None else None
    if general is not None:
        require_made_by(general, tokens / TOKENIZER, "tokens'", name="replayed tokens")
    length, seed = config.sequence_length, surroundings.seed
    replayed = general if config.replay_share else None
    batches = RowBatches(
        token_rows(shards, length, "tokens", config.isolate_documents, config.fim, seed),
        length,
        config.batch_tokens,
        config.micro_batch_tokens,
        seed,
        replay=token_rows(replayed, length, "replay", config.isolate_documents) if replayed is not None else None,
        replay_share=config.replay_share,
        where=tokens,
        as_given=config.order == "as_packed",
    )
    model = first_model(config.architecture, shards, length, base, seed)
    if config.isolate_documents:
        require_isolation(model)
    measures = held_out_measure(HELD_OUT, shards, config, surroundings, at_start=base is not None)
    if general is not None:
        measures += held_out_measure(GENERAL, general, config, surroundings, at_start=base is not None)
    fitted = fit(
        surroundings, config, model, batches, CausalLM(config.z_loss), measures, isolated=config.isolate_documents
    )
    return save_trained(surroundings, config, fitted, batches, tokens / TOKENIZER, base)
