"""Supervised fine-tuning on conversations, from a dataset and a base to a saved model or adapter.

The objective is causal language modelling on the assistant's tokens alone (Ouyang et al., Training language models to
follow instructions with human feedback, 2022, https://arxiv.org/abs/2203.02155, section 3.5):

    - sum over the batch of w_t log p(x_t | x_<t) / sum of w_t,   w_t = 1 where the assistant writes x_t, else 0

so it is `CausalLM` with the weights that the chat template's generation markers give.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from loresmith.data.messages_dataset import count_records, read_records
from loresmith.data.retention import require_in_time, today
from loresmith.models.adapter_storage import copy_beside
from loresmith.models.chat_template import read_chat_template
from loresmith.models.conversation import ConversationRenderer
from loresmith.models.isolation import require_isolation
from loresmith.models.storage import load_tokenizer, load_weights, require_fit
from loresmith.training.batches import RowBatches
from loresmith.training.callbacks import HELD_OUT, Measure, Surroundings
from loresmith.training.causal_lm import CausalLM
from loresmith.training.first_model import Base, require_adaptable, require_window
from loresmith.training.fit import fit
from loresmith.training.message_held_out import HeldOutAnswers
from loresmith.training.message_rows import MessageRowSettings, message_rows, refusal_of_length
from loresmith.training.ranks import Ranks
from loresmith.training.saving import Saved, save_trained

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from loresmith.training.steps.sft import SftConfig

TEMPLATE = "chat_template.jinja"


def sft(surroundings: Surroundings, config: SftConfig, dataset: Path, base: Base) -> Saved | None:
    """Fine-tune a base, going on from the newest checkpoint in `surroundings.work` if there is one.

    Args:
        dataset: a `dataset` asset of conversations.
        base: the model to begin with; its tokenizer and chat template render them.

    Raises:
        UserError: dataset, base and config do not fit together, or a record may not be kept any more; found before the
            first step, the records named.
        Failure: the training diverged, or what was saved is not what was trained.
    """
    require_adaptable(config.adapter)
    require_in_time(dataset, today())
    tokenizer = _tokenizer_files(surroundings.work / f"tokenizer-{Ranks.joined().rank}", base, config)
    loaded = load_tokenizer(tokenizer)
    renderer = ConversationRenderer(loaded)
    model = load_weights(base.directory, torch.float32)
    require_fit(model, max(loaded.get_vocab().values()), base.directory)
    require_window(model, config.sequence_length)
    if config.packing:
        require_isolation(model)

    in_all = count_records(dataset)

    def look(done: int) -> None:
        surroundings.progress(done, in_all, "records")
        if surroundings.stop_requested():
            surroundings.stopped()

    settings = MessageRowSettings(config.sequence_length, config.packing, config.longer_than_window)
    rows = message_rows(dataset, "train", renderer, settings, look=look)
    batches = RowBatches(
        rows,
        config.sequence_length,
        config.batch_tokens,
        config.micro_batch_tokens,
        surroundings.seed,
        where=dataset,
    )
    fitted = fit(
        surroundings,
        config.resolved(len(rows)),
        model,
        batches,
        CausalLM(config.z_loss),
        _measures(surroundings, config, dataset, renderer),
        isolated=config.packing,
    )
    _end_with(fitted.model, renderer.end_of_turn)
    return save_trained(surroundings, config, fitted, batches, tokenizer, base)


def _tokenizer_files(directory: Path, base: Base, config: SftConfig) -> Path:
    """The base's tokenizer alone, with the template that the config names, as the result is to carry it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    copy_beside(base.directory, directory)
    if config.chat_template is not None:
        (directory / TEMPLATE).write_text(read_chat_template(Path(config.chat_template)), encoding="utf-8")
    return directory


def _measures(
    surroundings: Surroundings, config: SftConfig, dataset: Path, renderer: ConversationRenderer
) -> list[Measure]:
    records = (record for record in read_records(dataset, "validation") if record.may("train"))
    held_out = HeldOutAnswers(
        records, renderer, config.held_out_tokens, config.sequence_length, 2 * config.micro_batch_tokens
    )
    if held_out.too_long and config.longer_than_window == "refuse":
        raise refusal_of_length(held_out.too_long, config.sequence_length)
    if held_out.too_long:
        more = f" and {len(held_out.too_long) - 1} more" if len(held_out.too_long) > 1 else ""
        surroundings.log(f"longer than the window, and not in {HELD_OUT}: {held_out.too_long[0]}{more}")
    if not held_out.records:
        surroundings.log(f"there will be no {HELD_OUT}: no record of the validation split fits into the window")
        return []
    return [Measure(HELD_OUT, held_out.bits_per_byte, at_start=True, of_bytes=held_out.bytes)]


def _end_with(model: PreTrainedModel, end_of_turn: int | None) -> None:
    """Have whoever generates with the model stop at the end of a turn, besides where it stopped before."""
    if end_of_turn is None or model.generation_config is None:
        return
    known = model.generation_config.eos_token_id
    ends = [] if known is None else list(known) if isinstance(known, list) else [known]
    if end_of_turn not in ends:
        model.generation_config.eos_token_id = [end_of_turn, *ends]
