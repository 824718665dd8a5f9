"""The numbers that a model has to be held against: two compressors and an n-gram model, on the same held-out text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Any

from loresmith.data.encoding import Encoder
from loresmith.errors import Interrupted, UserError
from loresmith.evaluation.compression import LARGEST_DICTIONARY, dictionary_size, xz_bytes
from loresmith.evaluation.held_out import Document, Sample, group_of
from loresmith.evaluation.ngram import KneserNey
from loresmith.evaluation.reports import Baseline
from loresmith.evaluation.scores import DocumentScore, bits_per_byte, bits_per_byte_interval
from loresmith.evaluation.settings import BaselineSettings

LOOK_EVERY = 0.2
"""Seconds between looks at how far the work is and whether it should stop."""


PIECE_BYTES = 1 << 20
"""What is compressed at once: about a second's work."""


@dataclass(frozen=True)
class Baselines:
    """The numbers, the easiest to beat first, and for each document where there are such, by the baseline's name."""

    baselines: tuple[Baseline, ...]
    by_document: Mapping[str, list[DocumentScore]]


def measure_baselines(
    held_out: Sample,
    training: Sample,
    tokenizer: Path,
    settings: BaselineSettings,
    threads: int,
    look: Callable[[int, int], None],
) -> Baselines:
    """Measure all baselines, several at a time.

    Args:
        held_out: the text to be said in few bits.
        training: the text that the baselines may learn from.
        tokenizer: directory of the tokenizer whose tokens the n-gram model counts.
        settings: the order of the n-gram model, and the bootstrap's.
        threads: measurements at a time; each takes one thread.
        look: called from this thread a few times a second with the bytes read and all that are to be read, some of
            them several times; it may raise to stop.

    Raises:
        UserError: there is more text than a compressor keeps in sight.
    """
    both = training.bytes + held_out.bytes
    if both > LARGEST_DICTIONARY:
        raise UserError(
            f"{both} bytes of training and held-out text; xz looks back {LARGEST_DICTIONARY} bytes at most",
            hint="set max_bytes or train_bytes lower",
        )
    work = _Work(total=2 * training.bytes + 2 * held_out.bytes + both)
    with ThreadPoolExecutor(threads) as pool:  # the longest first
        scores = pool.submit(_ngram_scores, held_out, training, tokenizer, settings, work)
        joint = pool.submit(xz_bytes, work.pieces(training.documents, held_out.documents), both)
        given = pool.submit(xz_bytes, work.pieces(training.documents), both)
        alone = pool.submit(xz_bytes, work.pieces(held_out.documents), held_out.bytes)
        try:
            _finish((scores, joint, given, alone), work, look)
        finally:
            work.stop.set()
    ngram = scores.result()
    added = max(0, joint.result() - given.result())
    name = f"{settings.order}-gram"
    dictionary = dictionary_size(both) >> 20
    baselines = (
        Baseline(
            name="xz",
            title="xz of the held-out text alone",
            bits_per_byte=8 * alone.result() / held_out.bytes,
            interval=None,
            how="The documents end to end, in the order of their paths, through `xz -9e`.",
        ),
        Baseline(
            name=name,
            title=f"{name} model over the same tokenizer",
            bits_per_byte=bits_per_byte(ngram),
            interval=bits_per_byte_interval(ngram, settings.resamples, settings.seed),
            how="Interpolated modified Kneser-Ney (Chen & Goodman 1999), counted on the training text. Each "
            "document begins without a past, and its end is predicted too; the probabilities after any context sum to "
            "one over the vocabulary.",
        ),
        Baseline(
            name="xz-with-training",
            title="xz with the training text at hand",
            bits_per_byte=8 * added / held_out.bytes,
            interval=None,
            how="Size of the training text followed by the held-out text, minus the size of the training text: "
            f"`xz --lzma2=preset=9e,dict={dictionary}MiB`, a dictionary that holds all of both.",
        ),
    )
    return Baselines(tuple(sorted(baselines, key=lambda each: -each.bits_per_byte)), {name: ngram})


class _Work:
    """How much of the text has been read by whom, and whether to stop reading."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.stop = Event()
        self._read: list[list[int]] = []

    @property
    def done(self) -> int:
        return sum(read for (read,) in self._read)

    def check(self) -> None:
        """Called by the threads at safe points."""
        if self.stop.is_set():
            raise Interrupted("the measurement was stopped")

    def read(self, *parts: Iterable[Document]) -> Iterator[Document]:
        """The documents, counted as they are asked for, until the work stops."""
        count = [0]  # written by one thread only
        self._read.append(count)

        def documents() -> Iterator[Document]:
            for document in chain(*parts):
                self.check()
                yield document
                count[0] += document.bytes

        return documents()

    def pieces(self, *parts: Iterable[Document]) -> Iterator[bytes]:
        """The documents' bytes, end to end, in pieces small enough to stop between."""
        for document in self.read(*parts):
            text = document.text.encode()
            for start in range(0, len(text), PIECE_BYTES):
                self.check()
                yield text[start : start + PIECE_BYTES]


def _finish(tasks: Iterable[Future[Any]], work: _Work, look: Callable[[int, int], None]) -> None:
    pending: set[Future[Any]] = set(tasks)
    while pending:
        done, pending = wait(pending, timeout=LOOK_EVERY, return_when=FIRST_COMPLETED)
        for task in done:
            task.result()
        look(work.done, work.total)


def _ngram_scores(
    held_out: Sample, training: Sample, tokenizer: Path, settings: BaselineSettings, work: _Work
) -> list[DocumentScore]:
    encoder = Encoder.load(tokenizer)
    model = KneserNey.fit(
        (encoder.document(document.text) for document in work.read(training.documents)),
        encoder.vocabulary_size,
        settings.order,
        between=work.check,
    )
    documents = held_out.documents
    nats = model.nats([encoder.document(document.text) for document in work.read(documents)])
    return [
        DocumentScore(document.id, group_of(document, settings.group_by), document.bytes, len(each), float(each.sum()))
        for document, each in zip(documents, nats, strict=True)
    ]
