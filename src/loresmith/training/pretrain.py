"""Pre-training, from tokens to a saved model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from loresmith.data.shards import TokenShards
from loresmith.errors import Failure, UserError
from loresmith.ledger.books import Account
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.cpu_training import use_fast_parts
from loresmith.models.storage import load_weights, save_model
from loresmith.training.allocator import keep_freed_memory
from loresmith.training.batches import TokenBatches
from loresmith.training.callbacks import HELD_OUT, Checkpoints, Curve, HeldOutCurve, Surroundings
from loresmith.training.causal_lm import CausalLM
from loresmith.training.checkpoint import CheckpointStore
from loresmith.training.device import choose_device, choose_precision
from loresmith.training.export_parity import Parity, measure_parity
from loresmith.training.held_out import HeldOut
from loresmith.training.loop import Callback, Trainer
from loresmith.training.optimiser import Optimiser

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from loresmith.training.steps import PretrainConfig

TOKENIZER = "tokenizer"
"""Where a `tokens` asset carries the tokenizer that made it."""


@dataclass(frozen=True)
class Pretrained:
    """What came of it.

    Attributes:
        directory: the model, plain Hugging Face, with its tokenizer.
        facts: what is known of it that follows from the recipe and the data alone.
        account: where the tokens went.
        parity: the saved model against the trained one.
    """

    directory: Path
    facts: dict[str, Any]
    account: Account
    parity: Parity


def pretrain(surroundings: Surroundings, config: PretrainConfig, tokens: Path, base: Path | None) -> Pretrained:
    """Train a causal language model, going on from the newest checkpoint in `surroundings.work` if there is one.

    Args:
        tokens: a `tokens` asset.
        base: a model to go on from, or None for a new one.

    Raises:
        UserError: tokens, base and config do not fit together; found before the first step.
        Failure: the training diverged, or the saved model is not the trained one.
    """
    torch.set_num_threads(surroundings.threads)
    keep_freed_memory()
    device = choose_device()
    shards = TokenShards.open(tokens)
    batches = TokenBatches(
        shards.split("train"), config.sequence_length, config.batch_tokens, config.micro_batch_tokens, surroundings.seed
    )
    model: PreTrainedModel = nn.Module.to(_first_model(config, shards, base, surroundings.seed), device)
    if device.type == "cpu":
        use_fast_parts(model)
    optimiser = Optimiser(model, config, choose_precision(config.precision, device))
    budget = config.steps * config.batch_tokens
    trainer = Trainer(model, optimiser, config, budget, surroundings.seed)

    curve = Curve(surroundings, config.steps, budget)
    store = CheckpointStore(surroundings.work / "checkpoints")
    checkpoint = store.load_newest(surroundings.log)
    if checkpoint is not None:
        surroundings.log(f"going on after step {checkpoint.step}, {checkpoint.tokens} tokens")
        trainer.go_on_from(checkpoint)
        curve.restore(checkpoint.history)
    callbacks: list[Callback] = [curve]
    held_out = HeldOut(shards, config.held_out_tokens, config.sequence_length, 2 * config.micro_batch_tokens)
    if held_out.documents:
        measuring = HeldOutCurve(held_out, curve, surroundings, config.held_out_interval, config.batch_tokens)
        measuring.catch_up(trainer)
        callbacks.append(measuring)
    else:
        surroundings.log("the tokens have no validation split: there will be no held-out number")
    callbacks.append(Checkpoints(store, curve, surroundings, config.checkpoint_seconds))

    trainer.train(lambda step: batches.batch(step, device), config.steps, CausalLM(model, config.z_loss), callbacks)

    directory = surroundings.output("model")
    save_model(model, directory, tokens / TOKENIZER)
    parity = measure_parity(model, directory, batches.batch(0).micro_batches[0].inputs[:2])
    if not parity.passed:
        raise Failure(f"the saved model computes something else than the trained one: {parity.evidence()}")
    facts = _facts(model, trainer, config, curve.newest(HELD_OUT), held_out)
    return Pretrained(directory, facts, batches.account(trainer.step, trainer.tokens), parity)


def _first_model(config: PretrainConfig, shards: TokenShards, base: Path | None, seed: int) -> PreTrainedModel:
    """The model before its first step, in fp32 on the CPU."""
    if base is None:
        architecture = config.architecture or Architecture()
        settings = transformers_config(
            architecture,
            vocabulary_size=shards.vocabulary_size,
            positions=config.sequence_length,
            end_of_document=shards.end_of_document,
        )
        model = build_model(settings, seed)
    else:
        if config.architecture is not None:
            raise UserError("a base has its own architecture", hint="leave out `architecture`, or the base")
        model = load_weights(base, torch.float32)
        _require_same_tokenizer(shards.directory / TOKENIZER, base)
    _require_fit(model, shards, config.sequence_length)
    return model


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


def _facts(
    model: PreTrainedModel, trainer: Trainer, config: PretrainConfig, bits_per_byte: float | None, held_out: HeldOut
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "model_type": model.config.model_type,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary_size": model.config.vocab_size,
        "sequence_length": config.sequence_length,
        "steps": trainer.step,
        "tokens": trainer.tokens,
    }
    if bits_per_byte is not None:
        facts |= {"held_out_bits_per_byte": round(bits_per_byte, 4), "held_out_bytes": held_out.bytes}
    return facts
