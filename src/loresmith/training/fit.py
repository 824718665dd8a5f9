"""Training a model, from the weights before the first step to those after the last: what every training step shares.

The steps differ in where their batches come from and in their objective; what surrounds the loop is the same, and
stands here once: the device, the canary, the books, checkpoints, held-out numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from loresmith.errors import Failure, UserError
from loresmith.ledger.books import Account, Books, Entry
from loresmith.models.adapters import add_adapter
from loresmith.models.cpu_training import use_fast_parts
from loresmith.models.mixture import has_experts
from loresmith.training.allocator import keep_freed_memory
from loresmith.training.batches import RowBatches
from loresmith.training.callbacks import Callback, Checkpoints, Curve, HeldOutCurve, Measure, Surroundings
from loresmith.training.checkpoint import CheckpointStore
from loresmith.training.checkpoint_writer import CheckpointWriter
from loresmith.training.compilation import compile_layers
from loresmith.training.device import choose_device
from loresmith.training.document_books import SourceBooks, book_table
from loresmith.training.leak_canary import MIXTURE_TOLERANCE, SHORTEST, Canary, check_leaks
from loresmith.training.loop import Trainer
from loresmith.training.objective import MicroBatch, Objective
from loresmith.training.optimiser import Optimiser
from loresmith.training.parallel import Division, divide, gather, put_together
from loresmith.training.precision_trial import settle_precision
from loresmith.training.predictor import Predictor
from loresmith.training.spikes import LossSpikes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from loresmith.training.loop_settings import LoopSettings


@dataclass(frozen=True)
class Fitted:
    """What came of a training.

    Attributes:
        model: with the weights after the last step, or their average where the settings ask for it. Of several
            processes the first alone has them.
        trainer: as it stands at the end.
        curve: of all metrics.
        books: what became of every token of every source.
        canary: what the leak canary showed before the first step.
        measures: what was measured on held-out data.
    """

    model: PreTrainedModel
    trainer: Trainer
    curve: Curve
    books: Sequence[SourceBooks]
    canary: Canary
    measures: Sequence[Measure]

    def accounts(self) -> Books:
        """The books of the training, with what the loop counted beside what the rows say."""
        accounts = [account for source in self.books for account in source.accounts()]
        for source in self.books:
            counted = self.trainer.learnt[source.source]
            entry = Entry(disposition="kept", reason="", count=source.learnt)
            accounts.append(Account(unit=f"lessons from {source.source}, by the loop", entered=counted, left=(entry,)))
        return Books(accounts=tuple(accounts))


def fit(
    surroundings: Surroundings,
    config: LoopSettings,
    model: PreTrainedModel,
    batches: RowBatches,
    objective: Objective,
    measures: Sequence[Measure],
    isolated: bool,
) -> Fitted:
    """Train, going on from the newest checkpoint in `surroundings.work` if there is one.

    Args:
        model: in fp32 on the CPU; afterwards it is on the device, in the type that it computes in.
        batches: where the rows come from.
        objective: what is learnt from them.
        measures: what is measured on held-out data, before the first step where they ask for it, and on the way.
        isolated: whether documents that share a row are to be kept apart.

    Raises:
        UserError: the model does not compute in the precision asked for, or has no adapter of the kind asked for.
        Failure: documents leak into one another, the books do not balance, or the training diverged.
    """
    everyone = batches.ranks
    division = Division(everyone, surroundings.tensor_parallel, surroundings.expert_parallel)
    batches = replace(batches, ranks=division.row_ranks)
    keep_freed_memory()
    device = choose_device()
    torch.set_num_threads(1)  # what is tried beforehand is small, and costs less than threads that wait for one another
    if device.type == "cpu":
        use_fast_parts(model)
    precision = settle_precision(config.precision, model, device, surroundings.log)
    if config.adapter is not None:
        if config.adapter.quantise_base and everyone.world > 1:
            raise UserError("a base in 4 bits is not divided among processes", where="adapter.quantise_base")
        add_adapter(model, config.adapter, surroundings.seed, device)
    nn.Module.to(model, device)  # last: a base in 4 bits would not have to fit there in fp32
    predictor = Predictor(model)
    if config.activation_checkpointing:
        predictor.checkpoint_activations()
    torch.set_num_threads(surroundings.threads)
    kept = divide(predictor, precision, division)
    optimiser = Optimiser(model, config, kept, division.sums_gradients, division.masters_apart)
    require_balance(batches, config.steps)

    budget = config.steps * config.batch_tokens
    if config.warmup_tokens is not None and config.warmup_tokens > budget:
        surroundings.log(
            f"warmup_tokens {config.warmup_tokens} is more than the {budget} tokens of the training: "
            "the learning rates never reach their height"
        )
    trainer = Trainer(
        predictor, optimiser, config, budget, surroundings.seed, batches.ranks, skips_in_a_row=config.skips_in_a_row
    )
    if config.compile != "off":
        compiled = compile_layers(config.compile, trainer, batches.batch(0, device), objective, surroundings, everyone)
        surroundings.metric("compiled", float(compiled), 0)
    canary = watch_for_leaks(predictor, config.sequence_length, surroundings.seed, isolated)
    for name, value in canary.numbers().items():
        surroundings.metric(name, value, 0)
    curve = Curve(surroundings, config.steps, budget)
    folder = Path(everyone.from_first(str(surroundings.work / "checkpoints")))
    store = CheckpointStore(folder, config.keep_checkpoints, config.keep_every, everyone)
    checkpoint = store.load_newest(surroundings.log, optimiser.masters)
    if checkpoint is not None:
        surroundings.log(f"going on after step {checkpoint.step}, {checkpoint.tokens} tokens")
        trainer.go_on_from(checkpoint)
        curve.restore(checkpoint.history)
    callbacks: list[Callback] = [curve, LossSpikes(curve, surroundings)]
    if measures:
        interval = config.held_out_interval
        measuring = HeldOutCurve(measures, curve, surroundings, interval, config.batch_tokens, everyone)
        if not measuring.catch_up(trainer):
            surroundings.stopped()
        callbacks.append(measuring)
    with closing(CheckpointWriter(store)) as writer:
        callbacks.append(
            Checkpoints(writer, curve, surroundings, config.checkpoint_seconds, everyone, config.keep_every)
        )
        trainer.train(lambda step: batches.batch(step, device), config.steps, objective, callbacks)
    if config.average_decay:
        optimiser.use_averages()
        with put_together(predictor):
            for measure in measures:
                curve.record(f"averaged_{measure.name}", measure.of(model, None), trainer.tokens)
    gather(predictor, precision, everyone)
    books = planned_books(batches, trainer.step, trainer.skipped)
    return Fitted(model, trainer, curve, books, canary, measures)


def planned_books(batches: RowBatches, steps: int, skipped: Sequence[int] = ()) -> list[SourceBooks]:
    """The books of a training of so many steps, of which some were skipped."""
    shown = batches.shown(steps, skipped)
    return [source.books(of_source) for source, of_source in zip(batches.sources, shown, strict=True)]


def require_balance(batches: RowBatches, steps: int) -> None:
    """Raise Failure if the books of a training do not balance, before its first step."""
    for source in planned_books(batches, steps):
        Books(accounts=source.accounts()).require_balance(f"the plan to learn from {source.source}")


def watch_for_leaks(predictor: Predictor, sequence_length: int, seed: int, isolated: bool) -> Canary:
    """Try the model, as it will be trained, on rows in which something is changed that must not be seen.

    Raises:
        Failure: it is seen.
        UserError: the rows are too short for that.
    """
    model: Any = predictor.model
    predictor.train()

    @torch.no_grad()
    def said(micro_batch: MicroBatch) -> Tensor:
        predictions = predictor.predict(micro_batch)
        flat = predictions.hidden_ND if predictions.hidden_ND is not None else predictions.logits_NV
        assert flat is not None
        return flat.view(*micro_batch.inputs.shape, -1)

    rows = model.get_input_embeddings().weight.shape[0]
    positions = getattr(model.config, "max_position_embeddings", None) or SHORTEST
    tables = {module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding)}
    if any(positions <= size < SHORTEST for size in tables):  # learned ones; rotary positions have no end
        raise UserError(
            f"the model has a table of {positions} positions, and the rows that show whether tokens see what they must "
            f"not have {SHORTEST}",
            hint=f"set sequence_length to {SHORTEST} or more",
        )
    tolerance = MIXTURE_TOLERANCE if any(map(has_experts, model.modules())) else 0.0
    with put_together(predictor):
        return check_leaks(said, rows, sequence_length, model.device, seed, isolated, tolerance)


def write_books(directory: Path, fitted: Fitted) -> Path:
    """The books of a training as a `report` asset: `documents.parquet`, a line for each fate, and `report.json`."""
    import pyarrow.parquet

    pyarrow.parquet.write_table(book_table(fitted.books), directory / "documents.parquet", compression="zstd")
    report = {
        "format": 1,
        "steps": fitted.trainer.step,
        "skipped_steps": fitted.trainer.skipped,
        "canary": fitted.canary.numbers(),
        "accounts": [account.model_dump(mode="json") for account in fitted.accounts().accounts],
    }
    (directory / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return directory


def require_finite(model: nn.Module) -> None:
    """Raise Failure if a weight is NaN or infinite: such a model is never saved."""
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise Failure(f"after the training the weights of {name} hold NaN or infinity")
