"""The stages of curation over a shard of documents. Each reads what the one before left and makes one folder."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loresmith.data.curation.changing_text import ChangingText
from loresmith.data.curation.curation_rules import CurationRules, Unit
from loresmith.data.curation.examination import Examiner
from loresmith.data.curation.prepared import SIGNS, PreparedWriter, read_arrow
from loresmith.data.documents import DOCUMENT_COLUMNS
from loresmith.data.duplicates.exact_duplicates import MINIMUM_BYTES
from loresmith.data.duplicates.passages import passages
from loresmith.data.duplicates.sketches import texts_of, write_sketches
from loresmith.data.edited_text import Edit
from loresmith.data.engine.finished import once
from loresmith.data.engine.rows import KEYED, PASSAGES, REPEATED, RowWriter, read_found
from loresmith.data.engine.shards import Shard, read_shard
from loresmith.data.rules.boilerplate import BoilerplateLines, line_keys
from loresmith.data.rules.finding import DocumentRule
from loresmith.data.rules.perplexity import Perplexity

LINES, EDITS, DOCUMENTS, PASSAGE_ROWS = "lines.parquet", "edits.arrow", "documents.arrow", "passages.parquet"


@dataclass(frozen=True)
class Part:
    """A shard on its way.

    Attributes:
        folder: of what the stage before left; of the first stages, there is none.
        to: what this one makes.
    """

    shard: Shard
    rules: CurationRules
    to: Path
    folder: Path = Path()

    def __str__(self) -> str:
        return str(self.shard)


@dataclass(frozen=True)
class Counts:
    """What a stage counts in a shard."""

    rows: int
    findings: Mapping[str, int]
    cut: int = 0


def count_lines(part: Part) -> int:
    """Lines that may be boilerplate (`lines.parquet`)."""

    def make(folder: Path) -> None:
        examiner = Examiner(part.rules, {})
        number = part.shard.first
        with RowWriter(folder / LINES, KEYED) as lines:
            for batch in read_shard(part.shard, DOCUMENT_COLUMNS.names):
                for row in batch.to_pylist():
                    if examiner.looks_for_boilerplate(row):
                        keys = np.unique(line_keys(*examiner.before_boilerplate(row)).keys)
                        if len(keys):
                            lines.add(key=keys, document=np.full(len(keys), number, dtype=np.uint32))
                    number += 1

    once(part.to, make)
    return part.shard.rows


def prepare(part: Part, judge: Path | None = None) -> Counts:
    """Documents as all rules but those against repetition leave them, and what the rules saw (`PREPARED_COLUMNS`).

    `part.folder` has the keys of boilerplate lines.

    Args:
        judge: a model whose loss is a score.
    """

    def make(folder: Path) -> None:
        more: dict[str, DocumentRule] = {}
        if part.folder != Path():
            more["boilerplate"] = BoilerplateLines(_keys(part.folder / "keys.npy"))
        if judge is not None:
            more["perplexity"] = _perplexity(judge)
        examiner = Examiner(part.rules, more)
        findings: Counter[str] = Counter()
        with PreparedWriter(folder) as writer:
            for batch in read_shard(part.shard, DOCUMENT_COLUMNS.names):
                for row in batch.to_pylist():
                    examined = examiner.examine(row)
                    findings.update(examined.findings)
                    seen = {
                        "ingested_bytes": row["bytes"],
                        "profile": examined.profile,
                        "language": examined.language,
                        "metadata": examined.metadata,
                        "scores": sorted(examined.scores.items()),
                        "flags": sorted(examined.flags),
                        "breaches": [vars(breach) for breach in examined.breaches],
                        "refused": examined.refused,
                    }
                    writer.add({**row, **seen, **_stored(examined.text)}, examined.text.edits)
        counted = "\n".join(f"{kind}\t{count}" for kind, count in sorted(findings.items()))
        (folder / "findings.tsv").write_text(counted)

    once(part.to, make)
    pairs = (line.split("\t") for line in (part.to / "findings.tsv").read_text().splitlines())
    return Counts(part.shard.rows, {kind: int(count) for kind, count in pairs})


def list_passages(part: Part, unit: Unit, chosen: Path) -> int:
    """The paragraphs or lines of chosen documents (`passages.parquet`).

    Args:
        chosen: for each document whether it is (an array of truth values).
    """

    def make(folder: Path) -> None:
        with RowWriter(folder / PASSAGE_ROWS, PASSAGES) as writer:
            for numbers, batch in _chosen(part, chosen, ("text",)):
                for some in passages(texts_of(batch), unit, MINIMUM_BYTES[unit]):
                    writer.add(key=some.hashes, document=numbers[some.owners], start=some.starts, end=some.ends)

    once(part.to, make)
    return part.shard.rows


def cut_repeated(part: Part, unit: Unit, repeated: Path) -> Counts:
    """Documents without the passages that stand before.

    Args:
        repeated: `REPEATED` of all documents.
    """

    def make(folder: Path) -> None:
        found = read_found(repeated, REPEATED)
        first = part.shard.first
        cut = 0
        with PreparedWriter(folder) as writer:
            writer.keep_edits(read_arrow(part.folder / EDITS))
            for batch in read_arrow(part.folder / DOCUMENTS):
                for number, row in enumerate(batch.to_pylist(), first):
                    low, high = np.searchsorted(found["document"], [number, number + 1])
                    if low == high:
                        writer.add(row, ())
                        continue
                    text = ChangingText.restored(row)
                    text.apply(_cuts(text.text, found[low:high], f"repeated {unit}"), "merged")
                    cut += int(high - low)
                    writer.add({**row, **_stored(text)}, text.edits)
                first += batch.num_rows
        (folder / "cut").write_text(str(cut))

    once(part.to, make)
    return Counts(part.shard.rows, {}, int((part.to / "cut").read_text()))


def sketch(part: Part, chosen: Path) -> int:
    """What chosen documents are compared by; `chosen` as for passages. Their numbers stand for their ids."""

    def numbered() -> Iterator[pa.RecordBatch]:
        for numbers, batch in _chosen(part, chosen, ("text",)):
            ids = pa.array([str(number) for number in numbers.tolist()], pa.string())
            yield pa.record_batch([ids, batch.column("text")], names=["id", "text"])

    def make(folder: Path) -> None:
        write_sketches(numbered(), folder / "sketches")

    once(part.to, make)
    return part.shard.rows


def signs(folder: Path) -> Iterator[pa.RecordBatch]:
    """What the decision looks at, of the documents of a shard."""
    return read_arrow(folder / DOCUMENTS, SIGNS)


def _chosen(part: Part, chosen: Path, columns: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], pa.RecordBatch]]:
    """The chosen documents of a shard, with their numbers."""
    mask = np.load(chosen, mmap_mode="r", allow_pickle=False)
    first = part.shard.first
    for batch in read_arrow(part.folder / DOCUMENTS, columns):
        here = np.array(mask[first : first + batch.num_rows])
        if here.any():
            yield first + np.flatnonzero(here), batch.filter(pa.array(here))
        first += batch.num_rows


def _stored(text: ChangingText) -> dict[str, Any]:
    stored = text.stored()
    return {**stored, "digest": hashlib.sha256(stored["text"].encode()).digest()}


def _cuts(text: str, found: Any, rule: str) -> Sequence[Edit]:
    edits = []
    for start, end in zip(found["start"].tolist(), found["end"].tolist(), strict=True):
        while text[end : end + 1] == "\n":
            end += 1
        edits.append(Edit(start, end, "", rule))
    return edits


@lru_cache(maxsize=1)
def _keys(path: Path) -> frozenset[int]:
    return frozenset(np.load(path, allow_pickle=False).tolist())


@lru_cache(maxsize=1)
def _perplexity(judge: Path) -> Perplexity:
    from loresmith.data.curation.model_loss import ModelLoss  # brings torch, which nothing else here needs

    return Perplexity(ModelLoss(judge))
