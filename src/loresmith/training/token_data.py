"""What a training takes from a `tokens` asset: rows to learn from, and a number on what is held out."""

from __future__ import annotations

from pathlib import Path

from loresmith.data.retention import require_tokens_in_time
from loresmith.data.shards import TokenShards
from loresmith.training.callbacks import Measure, Surroundings
from loresmith.training.fim import FillInTheMiddle
from loresmith.training.fim_settings import FimSettings
from loresmith.training.first_model import TOKENIZER
from loresmith.training.held_out import HeldOut
from loresmith.training.loop_settings import LoopSettings
from loresmith.training.packed_rows import document_rows
from loresmith.training.rows import RowSource
from loresmith.training.stream_rows import StreamRows


def learnable(directory: Path) -> TokenShards:
    """Open a `tokens` asset to learn from it.

    Raises:
        UserError: it is none, or a document in it may not be kept any more.
        Failure: a shard is damaged.
    """
    shards = TokenShards.open(directory)
    require_tokens_in_time(directory)
    return shards


def token_rows(
    shards: TokenShards, sequence_length: int, name: str, isolated: bool, fim: FimSettings | None = None, seed: int = 0
) -> RowSource:
    """The rows of the training split.

    Args:
        name: what the books call the source.
        isolated: whether documents that share a row do not see one another.
        fim: how pieces of isolated documents are turned round, if any are.
        seed: the run's; decides which, and where they are cut.

    Raises:
        UserError: the split is too short, or its tokenizer has no sentinels.
    """
    if not isolated:
        return StreamRows(shards.split("train"), sequence_length, name)
    turning = FillInTheMiddle(fim, shards.directory / TOKENIZER, seed) if fim is not None and fim.rate else None
    return document_rows(shards, "train", sequence_length, name, turning)


def held_out_measure(
    name: str, shards: TokenShards, config: LoopSettings, surroundings: Surroundings, at_start: bool
) -> list[Measure]:
    """Bits per byte on the validation split, under a name; nothing where there is none, which is said."""
    held_out = HeldOut(shards, config.held_out_tokens, config.sequence_length, 2 * config.micro_batch_tokens)
    if not held_out.documents:
        surroundings.log(f"there will be no {name}: these tokens have no validation split")
        return []
    return [Measure(name, held_out.bits_per_byte, at_start=at_start, of_bytes=held_out.bytes)]
