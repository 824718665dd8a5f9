"""How many tokens a corpus has: counted, or on a sample with an interval; by a given tokenizer or a small one of its
own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from loresmith.advice.part import Basis, Part
from loresmith.advice.survey import may_train
from loresmith.data.corpus import read_documents
from loresmith.data.sampling import in_sample
from loresmith.data.special_tokens import smallest_vocabulary
from loresmith.errors import UserError
from loresmith.evaluation.intervals import Interval, ratio_interval

if TYPE_CHECKING:
    import pyarrow as pa

RESAMPLES = 500
RESERVED = 16
TRAINING_BYTES = 4 << 20
"""Text that a vocabulary of our own is learnt from, at most."""


class Tokens(Part):
    """How many tokens there are in the documents that may be learnt from."""

    all: int = Field(description="Tokens, an end-of-document token for each document among them.")
    different: int = Field(description="What is left of them when copies are taken away.")
    interval: Interval | None = Field(
        description="Of the different tokens, at 95 % confidence over documents; null where they were all counted, or "
        "the sample has too few documents."
    )
    basis: Basis = Field(description="On what they were counted.")
    bytes_per_token: float = Field(description="UTF-8 bytes of text in a token.")
    vocabulary_size: int = Field(description="Tokens of the vocabulary.")
    own_vocabulary: bool = Field(
        description="Whether the vocabulary is a small one, learnt from this corpus because none was given."
    )


def own_tokenizer(corpus: Path, target: Path, vocabulary_size: int, look: Callable[[], None]) -> Path:
    """Learn a small vocabulary from a sample of what may be learnt from; halved until the text fills it.

    Returns:
        `target`, a `tokenizer` directory.

    Raises:
        UserError: the text does not fill even the smallest vocabulary.
    """
    from loresmith.data.tokenizer_training import save_tokenizer, train_byte_pairs

    whole = sum(row["bytes"] for batch in usable(corpus, ("bytes",)) for row in batch.to_pylist())
    texts = []
    for batch in usable(corpus, ("id", "text")):
        for row in batch.to_pylist():
            if in_sample(row["id"], TRAINING_BYTES, whole):
                texts.append(row["text"][:TRAINING_BYTES])
        look()
    smallest = smallest_vocabulary(RESERVED)
    while True:
        try:
            tokenizer = train_byte_pairs(texts, vocabulary_size, RESERVED)
        except UserError:
            if vocabulary_size <= smallest:
                raise
            vocabulary_size = max(smallest, vocabulary_size // 2)
        else:
            save_tokenizer(tokenizer, target)
            return target


def usable(corpus: Path, columns: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """The documents that may be learnt from, some columns of them."""
    import pyarrow as pa

    for batch in read_documents(corpus, tuple(dict.fromkeys((*columns, "split", "uses"))), "train"):
        allowed = [may_train(row) for row in batch.select(["split", "uses"]).to_pylist()]
        if any(allowed):
            yield batch.filter(pa.array(allowed)).select(list(columns))


def count_tokens(
    corpus: Path,
    tokenizer: Path,
    own_vocabulary: bool,
    usable_bytes: int,
    different: float,
    wanted: int,
    seed: int,
    look: Callable[[int], None],
) -> Tokens:
    """Count.

    Args:
        usable_bytes: of the documents that may be learnt from.
        different: what share of them is left without copies, from 0 to 1.
        wanted: bytes that are encoded; of more, a sample.
        look: called with the bytes done; it may raise to stop.
    """
    from loresmith.data.encoding import Encoder

    encoder = Encoder.load(tokenizer)
    counts: list[int] = []
    sizes: list[int] = []
    whole, done = True, 0
    for batch in usable(corpus, ("id", "text", "bytes")):
        rows: list[dict[str, Any]] = [row for row in batch.to_pylist() if in_sample(row["id"], wanted, usable_bytes)]
        whole = whole and len(rows) == batch.num_rows
        counts += [len(ids) for ids in encoder.documents([row["text"] for row in rows])]
        sizes += [row["bytes"] for row in rows]
        done += sum(row["bytes"] for row in rows)
        look(done)
    per_byte = sum(counts) / max(1, sum(sizes))
    all_ = sum(counts) if whole else round(per_byte * usable_bytes)
    interval = None if whole else ratio_interval(counts, sizes, RESAMPLES, seed)
    if interval is not None:
        scale = usable_bytes * different
        interval = Interval(low=interval.low * scale, high=interval.high * scale)
    return Tokens(
        all=all_,
        different=round(all_ * different),
        interval=interval,
        basis=Basis(documents=len(counts), bytes=sum(sizes), all=whole),
        bytes_per_token=1 / per_byte if per_byte else 0.0,
        vocabulary_size=encoder.vocabulary_size,
        own_vocabulary=own_vocabulary,
    )
