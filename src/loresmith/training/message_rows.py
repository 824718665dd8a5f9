"""Rows of conversations: what the assistant says is learnt, what others say is only shown.

A conversation of n tokens takes n - 1 positions of a row, token t predicting token t + 1; a target counts if the chat
template's generation markers enclose it. Conversations share rows, best-fit packed and kept apart, or have one each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loresmith.data.messages_dataset import DatasetRecord, read_records
from loresmith.errors import UserError
from loresmith.models.conversation import ConversationRenderer, Rendered
from loresmith.training.document_books import Line
from loresmith.training.packed_rows import PackedRows, Piece
from loresmith.training.rows import Row, shifted

LongerThanWindow = Literal["refuse", "truncate", "drop"]

SHOWN_ONLY = "shown, not learnt: not for the assistant to write"
NOT_ALLOWED = "not allowed: train"
TOO_LONG = "longer than the window"
NOTHING_LEFT = "nothing of the assistant's fits into the window"

_AT_ONCE = 512
_LISTED_AT_MOST = 10


@dataclass(frozen=True)
class MessageRowSettings:
    """How conversations become rows.

    Attributes:
        sequence_length: positions in a row.
        packing: whether conversations share rows.
        longer_than_window: what to do with one of more than `sequence_length` + 1 tokens: stop before anything is
            trained, cut off its end, or leave it out.
    """

    sequence_length: int
    packing: bool = True
    longer_than_window: LongerThanWindow = "refuse"


@dataclass
class _Collected:
    """Conversations as tokens, end to end."""

    ids: list[NDArray[np.int32]] = field(default_factory=list)
    learnt: list[NDArray[np.bool_]] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    documents: list[tuple[str, str]] = field(default_factory=list)
    settled: list[Line] = field(default_factory=list)
    too_long: list[str] = field(default_factory=list)
    entered: int = 0


def message_rows(
    dataset: Path,
    split: str,
    renderer: ConversationRenderer,
    settings: MessageRowSettings,
    name: str = "dataset",
    look: Callable[[int], None] = lambda _done: None,
) -> PackedRows:
    """The conversations of one split of a `dataset` asset.

    Args:
        renderer: makes tokens of them.
        name: what the books call them.
        look: called now and then with the number of records so far; may raise to stop.

    Raises:
        UserError: a record cannot be rendered, is longer than the window and is to be refused, or none is left. The
            records are named.
    """
    collected = _Collected()
    for record, rendered in rendered_records(read_records(dataset, split), renderer, look):
        _collect(collected, record, rendered, settings, name)
    if collected.too_long:
        raise refusal_of_length(collected.too_long, settings.sequence_length)
    if not collected.pieces:
        raise UserError(f"no record of the {split} split is left to learn from", where=str(dataset))
    ids = np.concatenate(collected.ids)
    learnt = np.concatenate(collected.learnt)
    ends = np.cumsum([piece.tokens for piece in collected.pieces])

    def example(number: int, _epoch: int) -> Row:
        end = int(ends[number])
        part = slice(end - collected.pieces[number].tokens, end)
        return shifted(ids[part], learnt[part][1:].astype(np.float32))

    return PackedRows(
        name,
        collected.pieces,
        settings.sequence_length,
        example,
        collected.documents,
        collected.entered,
        packing=settings.packing,
        masked_because=SHOWN_ONLY,
        settled=collected.settled,
    )


def rendered_records(
    records: Iterable[DatasetRecord],
    renderer: ConversationRenderer,
    look: Callable[[int], None] = lambda _done: None,
) -> Iterator[tuple[DatasetRecord, Rendered]]:
    """Records as tokens, encoded many at once; raises as `ConversationRenderer.render`, naming the record."""
    remaining = iter(records)
    done = 0
    while portion := list(islice(remaining, _AT_ONCE)):
        look(done)
        pieces = [renderer.pieces(record.messages, record.tools, record.where) for record in portion]
        yield from zip(portion, renderer.encode(pieces), strict=True)
        done += len(portion)


def _collect(
    collected: _Collected, record: DatasetRecord, rendered: Rendered, settings: MessageRowSettings, name: str
) -> None:
    path = f"{record.path}#L{record.line}"
    length, room = len(rendered.ids), settings.sequence_length + 1
    collected.entered += length
    if not record.may("train"):
        collected.settled.append(Line(name, record.id, path, "dropped", NOT_ALLOWED, length))
        return
    kept = length
    if length > room:
        if settings.longer_than_window == "refuse":
            collected.too_long.append(f"{record.where}: {length} tokens")
            return
        if settings.longer_than_window == "drop":
            collected.settled.append(Line(name, record.id, path, "dropped", TOO_LONG, length))
            return
        kept = room
    mask = rendered.assistant_mask[:kept]
    learnt = int(mask[1:].sum())
    if not learnt:
        collected.settled.append(Line(name, record.id, path, "dropped", NOTHING_LEFT, length))
        return
    if kept < length:
        collected.settled.append(Line(name, record.id, path, "truncated", TOO_LONG, length - kept))
    collected.pieces.append(Piece(len(collected.documents), 0, kept, kept - 1, masked=kept - learnt))
    collected.documents.append((record.id, path))
    collected.ids.append(rendered.ids[:kept].astype(np.int32))
    collected.learnt.append(mask)


def refusal_of_length(too_long: list[str], sequence_length: int) -> UserError:
    """What is said of records that are longer than the window."""
    more = f"\nand {len(too_long) - _LISTED_AT_MOST} more" if len(too_long) > _LISTED_AT_MOST else ""
    return UserError(
        "\n".join(
            [
                f"{len(too_long)} records are longer than the window of {sequence_length + 1} tokens "
                f"(sequence_length {sequence_length}):",
                *too_long[:_LISTED_AT_MOST],
            ]
        )
        + more,
        hint="raise sequence_length, or cut off their ends with `longer_than_window: truncate`, or leave them out with "
        "`longer_than_window: drop`",
    )
