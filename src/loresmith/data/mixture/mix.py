"""Corpora to one corpus in which each source has its share, and what is held out stays so.

Only what is to be trained on is mixed. Validation and test are passed through once, so that measures mean the same
whatever the weights are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from loresmith.data.asset_rows import AssetRows
from loresmith.data.documents import CORPUS_COLUMNS, DocumentWriter
from loresmith.data.looking import EDITS
from loresmith.data.mixture.amounts import Supply, amounts
from loresmith.data.mixture.drawing import Draws, draw, keys_of
from loresmith.data.mixture.joining import Joined, group_names, join_groups
from loresmith.data.mixture.placing import Placing
from loresmith.data.mixture.settings import MixtureRules
from loresmith.data.mixture.source_shares import said_of_sources
from loresmith.data.mixture.survey import IN_NONE, THERE_ALREADY, Survey, hash_of, survey
from loresmith.data.observer import Observer, safe_point
from loresmith.data.record_books import RecordBooks
from loresmith.data.shards import SPLITS
from loresmith.errors import UserError
from loresmith.ledger.books import Books

MIXED_COLUMNS = pa.schema([*CORPUS_COLUMNS, ("source", pa.string()), ("repeat", pa.int32())])
"""As `CORPUS_COLUMNS`; `source` is the source that the document was drawn of, `repeat` how often it was drawn before.
A document that is drawn n times has n rows, with one id."""

_BATCH = 1024


@dataclass
class Mixed:
    """What came of it.

    Attributes:
        splits: documents, bytes and groups of each split, a document counted as often as it is there.
        sources: for each source, what it had, what was wanted and drawn of it, and what it holds out.
        moved: documents that changed sides, since they are near-identical to held-out ones of another corpus.
        near: how many documents are near-identical to one of another group.
        languages: bytes by language.
    """

    books: Books
    splits: dict[str, dict[str, int]]
    sources: dict[str, dict[str, Any]]
    moved: int
    near: int
    labels: set[str] = field(default_factory=set)
    languages: Counter[str] = field(default_factory=Counter)


def mix_corpora(corpora: Sequence[Path], target: Path, rules: MixtureRules, work: Path, observer: Observer) -> Mixed:
    """Make a corpus of several, or of parts of one.

    Args:
        corpora: `corpus` assets, in the order of `rules.corpora`.
        target: an empty folder; gets documents-*.parquet (`MIXED_COLUMNS`), books.parquet, and edits.parquet where the
            corpora have it.
        work: a folder for what is in between.

    Raises:
        UserError: a source is empty, or a document is in two of them.
    """
    found = survey(corpora, rules, observer)
    joined = join_groups(corpora, found, rules.similarity, work / "alike", observer)
    draws, wanted = _drawn(found, joined, rules)
    mixed = _write(corpora, found, joined, draws, target, rules, work / "placing", observer)
    mixed.sources = said_of_sources(found, joined, draws, wanted, rules)
    _keep_edits(corpora, target, found)
    return mixed


def _drawn(found: Survey, joined: Joined, rules: MixtureRules) -> tuple[Draws, list[dict[str, float]]]:
    """What is drawn, and how many bytes of each source are wanted in each stage."""
    of_source = {
        source.name: np.flatnonzero((found.sources == number) & (joined.sides == 0))
        for number, source in enumerate(rules.sources)
    }
    supplies = {
        source.name: Supply(int(found.sizes[of_source[source.name]].sum()), source.epochs_cap)
        for source in rules.sources
    }
    wanted = amounts(supplies, rules.stages, rules.target_bytes)
    keys = keys_of(found.ids, rules.seed)
    draws = [
        draw(
            documents,
            found.sizes[documents],
            keys[documents],
            [stage[name] for stage in wanted],
            found.values[documents] if found.values is not None else None,
        )
        for name, documents in of_source.items()
        if len(documents)
    ]
    if not draws or not sum(map(len, draws)):
        raise UserError("not one document is drawn", hint="raise target_bytes, or the weights")
    return Draws.together(draws), wanted


def _write(
    corpora: Sequence[Path],
    found: Survey,
    joined: Joined,
    draws: Draws,
    target: Path,
    rules: MixtureRules,
    work: Path,
    observer: Observer,
) -> Mixed:
    """Write the held-out documents as they come, then those that were drawn in their order, and the books of all."""
    names = group_names(corpora, set(joined.names.values()))
    by_document = np.argsort(draws.documents, kind="stable")
    begins = np.searchsorted(draws.documents[by_document], np.arange(len(found) + 1))
    counts = np.diff(begins)
    tally = _Tally()
    with (
        DocumentWriter(target, MIXED_COLUMNS) as writer,
        RecordBooks(target) as books,
        Placing(work, np.cumsum(found.sizes[draws.documents])) as placing,
    ):
        for number, batch in _all_rows(corpora, observer, len(found)):
            numbers = np.arange(number, number + batch.num_rows)
            for row, here in zip(batch.select(["id", "path", "bytes"]).to_pylist(), numbers.tolist(), strict=True):
                _enter(row, here, found, joined, int(counts[here]), books, rules)
            own = _with_own_columns(batch, numbers, found, joined, names, rules)
            held_out = np.flatnonzero((found.sources[numbers] >= 0) & (joined.sides[numbers] > 0))
            for row in own.take(pa.array(held_out, pa.int64())).to_pylist():
                tally.count(row)
                writer.add(row)
            times = counts[numbers]
            drawn = by_document[begins[number] : begins[number + len(numbers)]]
            rows = own.take(pa.array(np.repeat(np.arange(len(numbers)), times), pa.int64()))
            repeats = pa.array(draws.repeats[drawn], pa.int32())
            rows = rows.set_column(rows.schema.get_field_index("repeat"), "repeat", repeats)
            placing.add(rows, drawn, int(found.sizes[draws.documents[drawn]].sum()))
        for written, row in enumerate(placing.rows()):
            if written % _BATCH == 0:
                safe_point(observer, written, len(draws), "documents written")
            tally.count(row)
            writer.add(row)
        accounts = books.accounts()
    return Mixed(accounts, tally.splits(), {}, int(joined.moved.sum()), joined.near, tally.labels, tally.languages)


class _Tally:
    """What is in the corpus."""

    def __init__(self) -> None:
        self.labels: set[str] = set()
        self.languages: Counter[str] = Counter()
        self._counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        self._groups: dict[str, set[int]] = {split: set() for split in SPLITS}

    def count(self, row: Mapping[str, Any]) -> None:
        self.labels.update(row["labels"])
        self.languages[row["language"]] += row["bytes"]
        self._counts[row["split"]].update(documents=1, bytes=row["bytes"])
        self._groups[row["split"]].add(hash_of(row["group"]))

    def splits(self) -> dict[str, dict[str, int]]:
        return {
            split: {"documents": counts["documents"], "bytes": counts["bytes"], "groups": len(self._groups[split])}
            for split, counts in self._counts.items()
        }


def _all_rows(corpora: Sequence[Path], observer: Observer, total: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """All documents, each batch with the number of its first."""
    number = 0
    for corpus in corpora:
        for batch in AssetRows(corpus).batches(CORPUS_COLUMNS.names):
            safe_point(observer, number, total, "documents")
            yield number, batch
            number += batch.num_rows


def _enter(
    row: Mapping[str, Any],
    number: int,
    found: Survey,
    joined: Joined,
    drawn: int,
    books: RecordBooks,
    rules: MixtureRules,
) -> None:
    """Write down what becomes of a document."""
    id_, path, size = row["id"], row["path"], row["bytes"]
    source, side = int(found.sources[number]), SPLITS[int(joined.sides[number])]
    books.enter(records=1, bytes_=size)
    if source == THERE_ALREADY:
        books.leave(id_, path, "merged", size, "there already", "a document of this id stands before")
    elif source == IN_NONE:
        books.leave(id_, path, "dropped", size, "in no source")
    elif side == "train" and not drawn:
        books.leave(id_, path, "dropped", size, "not drawn", f"of {rules.sources[source].name}")
    else:
        held_out = bool(joined.moved[number])
        reason = f"moved to {side}" if held_out else ""
        detail = "near-identical to a held-out document of another corpus" if held_out else ""
        times = f", {drawn} times" if drawn > 1 else ""
        books.leave(id_, path, "kept", size, reason, detail or f"of {rules.sources[source].name}{times}")


def _with_own_columns(
    batch: pa.RecordBatch,
    numbers: NDArray[np.int64],
    found: Survey,
    joined: Joined,
    names: Mapping[int, str],
    rules: MixtureRules,
) -> pa.RecordBatch:
    """The rows under `MIXED_COLUMNS`: with their side and group in the mixture, their source, and not repeated."""
    sources = [rules.sources[number].name if number >= 0 else "" for number in found.sources[numbers].tolist()]
    groups = [
        names[joined.names[key]] if key in joined.names else group
        for key, group in zip(found.groups[numbers].tolist(), batch["group"].to_pylist(), strict=True)
    ]
    new: dict[str, pa.Array[Any]] = {
        "split": pa.array([SPLITS[side] for side in joined.sides[numbers].tolist()], pa.string()),
        "group": pa.array(groups, pa.string()),
        "source": pa.array(sources, pa.string()),
        "repeat": pa.array(np.zeros(len(numbers), dtype=np.int32)),
    }
    columns = [new[name] if name in new else batch[name] for name in MIXED_COLUMNS.names]
    return pa.RecordBatch.from_arrays(columns, schema=MIXED_COLUMNS)


def _keep_edits(corpora: Sequence[Path], target: Path, found: Survey) -> None:
    """The edits of all documents that may be in the mixture: with them a span of a text leads back to its page."""
    files = [(number, corpus / EDITS) for number, corpus in enumerate(corpora) if (corpus / EDITS).exists()]
    if not files:
        return
    with pq.ParquetWriter(target / EDITS, pq.read_schema(files[0][1]), compression="zstd") as writer:
        for number, file in files:
            here = slice(found.first[number], found.first[number + 1])
            elsewhere = set(found.ids[here][found.sources[here] == THERE_ALREADY].tolist())
            with pq.ParquetFile(file, pre_buffer=False) as table:
                for batch in table.iter_batches(4096, use_threads=False):
                    mine = [hash_of(str(id_)) not in elsewhere for id_ in batch["id"].to_pylist()]
                    writer.write_batch(batch.filter(pa.array(mine)))
