"""What a training leaves: a model or an adapter, its books, and the check that what was saved is what was trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.errors import Failure
from loresmith.ledger.books import Books
from loresmith.models.adapter_quantisation import parameter_count
from loresmith.models.adapter_storage import save_adapter
from loresmith.models.storage import save_model
from loresmith.training.batches import RowBatches
from loresmith.training.callbacks import Surroundings
from loresmith.training.export_parity import Parity, measure_parity
from loresmith.training.fit import Fitted, require_finite, write_books

if TYPE_CHECKING:
    from loresmith.training.loop_settings import LoopSettings
    from loresmith.training.pretrain import Base


@dataclass(frozen=True)
class Saved:
    """What came of a training, on disk.

    Attributes:
        role: `model` or `adapter`, which it is.
        directory: plain Hugging Face, or PEFT, with the tokenizer.
        books_directory: see `write_books`.
        facts: what is known of it that follows from the recipe and the data alone.
        books: where the tokens went.
        parity: the saved one against the trained one.
    """

    role: str
    directory: Path
    books_directory: Path
    facts: dict[str, Any]
    books: Books
    parity: Parity


def save_trained(
    surroundings: Surroundings,
    config: LoopSettings,
    fitted: Fitted,
    batches: RowBatches,
    tokenizer: Path,
    base: Base | None,
) -> Saved | None:
    """Save what was trained, and compare it with what was saved.

    Returns:
        None where another process, the first of several, does it.

    Raises:
        Failure: it holds NaN, or what was saved computes something else.
    """
    if not batches.ranks.first:
        return None
    model = fitted.model
    require_finite(model)
    ids_BT = batches.batch(0).micro_batches[0].inputs[:2]
    role = "model" if config.adapter is None else "adapter"
    directory = surroundings.output(role)
    if config.adapter is None:
        save_model(model, directory, tokenizer)
        parity = measure_parity(model, directory, ids_BT)
    else:
        assert base is not None
        # An adapter is small: it keeps the digits that it was trained with.
        for name, parameter in model.named_parameters() if batches.ranks.world == 1 else ():
            if name in fitted.trainer.optimiser.masters:
                parameter.data = fitted.trainer.optimiser.masters[name].detach().to(parameter.device)
        save_adapter(model, directory, base.digest, tokenizer)
        parity = measure_parity(model, directory, ids_BT, base.directory, config.adapter.quantise_base)
    if math.isnan(parity.largest_difference):
        raise Failure(
            f"the training diverged: the {role} that it made computes NaN",
            hint="lower the learning rates or lengthen the warm-up, and train anew",
        )
    if not parity.passed:
        raise Failure(f"the saved {role} computes something else than the trained one: {parity.evidence()}")
    books_directory = write_books(surroundings.output("books"), fitted)
    return Saved(role, directory, books_directory, _facts(config, fitted), fitted.accounts(), parity)


def _facts(config: LoopSettings, fitted: Fitted) -> dict[str, Any]:
    model, trainer = fitted.model, fitted.trainer
    facts: dict[str, Any] = {
        "model_type": model.config.model_type,
        "parameters": parameter_count(model),
        "trained_parameters": sum(master.numel() for master in trainer.optimiser.masters.values()),
        "vocabulary_size": model.config.vocab_size,
        "sequence_length": config.sequence_length,
        "steps": trainer.step,
        "tokens": trainer.tokens,
    }
    if trainer.skipped:
        facts["skipped_steps"] = len(trainer.skipped)
    for measure in fitted.measures:
        for name in (measure.name, f"averaged_{measure.name}"):
            value = fitted.curve.newest(name)
            if value is not None:
                facts[name] = round(value, 4)
        before = fitted.curve.at(measure.name, 0) if measure.at_start else None
        if before is not None:
            facts[f"{measure.name}_of_base"] = round(before, 4)
        if measure.of_bytes:
            facts[f"{measure.name.removesuffix('_bits_per_byte')}_bytes"] = measure.of_bytes
    return facts
