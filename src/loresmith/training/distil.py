"""Distillation, from tokens and a teacher to a saved student."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from loresmith.data.shards import TokenShards
from loresmith.models.cpu_training import use_fast_parts
from loresmith.models.isolation import require_isolation
from loresmith.training.callbacks import HELD_OUT, Surroundings
from loresmith.training.device import choose_device, choose_precision
from loresmith.training.distillation import Distillation
from loresmith.training.first_model import (
    TOKENIZER,
    Base,
    first_model,
    fitting_model,
    require_adaptable,
    require_one_shape,
)
from loresmith.training.fit import fit
from loresmith.training.predictor import Predictor
from loresmith.training.saving import Saved, save_trained
from loresmith.training.teacher import TaughtBatches
from loresmith.training.token_data import held_out_measure, learnable, token_rows

if TYPE_CHECKING:
    from loresmith.training.steps.distil import DistilConfig


def distil(
    surroundings: Surroundings, config: DistilConfig, tokens: Path, teacher: Path, base: Base | None
) -> Saved | None:
    """Train a student, going on from the newest checkpoint in `surroundings.work` if there is one.

    Args:
        tokens: a `tokens` asset.
        teacher: the model to learn from.
        base: a student to go on from, or None for a new one.

    Raises:
        UserError: tokens, teacher, base and config do not fit together, or a document in the tokens may not be kept any
            more; found before the first step.
        Failure: the training diverged, or the saved model is not the trained one.
    """
    require_one_shape(config.architecture, config.adapter, base)
    require_adaptable(config.adapter)
    shards = learnable(tokens)
    length, seed = config.sequence_length, surroundings.seed
    batches = TaughtBatches(
        token_rows(shards, length, "tokens", config.isolate_documents, config.fim, seed),
        length,
        config.batch_tokens,
        config.micro_batch_tokens,
        seed,
        teacher=_teacher(teacher, shards, config),
        likeliest=config.likeliest,
        temperature=config.temperature,
        vocabulary_size=shards.vocabulary_size,
        where=tokens,
        as_given=config.order == "as_packed",
    )
    model = first_model(config.architecture, shards, length, base, seed)
    if config.isolate_documents:
        require_isolation(model)
    objective = Distillation(config.divergence, config.temperature, config.soft_share, config.z_loss)
    measures = held_out_measure(HELD_OUT, shards, config, surroundings, at_start=base is not None)
    fitted = fit(surroundings, config, model, batches, objective, measures, isolated=config.isolate_documents)
    return save_trained(surroundings, config, fitted, batches, tokens / TOKENIZER, base)


def _teacher(directory: Path, shards: TokenShards, config: DistilConfig) -> Predictor:
    """A model that only reads, on the device and in the type that the student is trained in."""
    device = choose_device()
    model = fitting_model(
        directory, shards, config.sequence_length, choose_precision(config.precision, device), "teacher's"
    )
    if config.isolate_documents:
        require_isolation(model)
    nn.Module.to(model, device)
    if device.type == "cpu":
        use_fast_parts(model)
    return Predictor(model.requires_grad_(False))
