"""A corpus without what evaluation suites ask for.

Brown et al., "Language Models are Few-Shot Learners", 2020, appendix C: a run of 13 words that a case has is cut out of
the document with 200 characters on either side, what is too short after that goes, and so does a document that would be
cut in more than ten places.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from loresmith.data.contamination.case_index import Rule
from loresmith.data.contamination.findings import FINDING_COLUMNS, Cases, Findings, by_document, found_in, look
from loresmith.data.curation.changing_text import EDIT_COLUMNS, ChangingText
from loresmith.data.curation.outcome import added_up
from loresmith.data.documents import CORPUS_COLUMNS
from loresmith.data.edited_text import Edit, EditedText, Piece
from loresmith.data.engine.engine import Engine
from loresmith.data.engine.finished import once
from loresmith.data.engine.gathering import batches_of, empty, place, write_together
from loresmith.data.engine.shards import Shard, read_shard, require_columns
from loresmith.data.engine.sorting import Sorting
from loresmith.data.media_left_behind import leave_media
from loresmith.data.mixing import hash_of
from loresmith.data.mixture.dealing import MIXED_COLUMNS
from loresmith.data.mixture.source_shares import Left, added_up_sources, count_source
from loresmith.data.observer import Observer, safe_point
from loresmith.data.record_books import BOOK_COLUMNS, RecordBooks
from loresmith.data.shards import SPLITS
from loresmith.data.tables import TableWriter
from loresmith.errors import UserError
from loresmith.ledger.books import Books

Remedy = Literal["drop-span", "drop-document", "flag"]

REASON = "contaminated"
FINDINGS_FILE, EDITS_FILE, SCORES_FILE = "contamination.parquet", "edits.parquet", "scores.parquet"
_DOCUMENTS, _BOOKS, _COUNTS = "documents.parquet", "books.parquet", "counts.json"


@dataclass(frozen=True)
class Measures:
    """What is done where a document holds a case.

    Attributes:
        rule: when it does.
        remedy: cut the stretch out, drop the document, or leave it and say so.
        splits: which documents are looked at.
        around: characters that are cut on either side of a stretch as well.
        most_cuts: a document that would be cut in more places is dropped.
        minimum_bytes: a document of which less is left is dropped.
    """

    rule: Rule
    remedy: Remedy
    splits: Collection[str]
    around: int
    most_cuts: int
    minimum_bytes: int


@dataclass(frozen=True)
class Decontaminated:
    """What came of it; `splits` has documents, bytes and groups of each, `labels` all that the corpus carries,
    `sources` what there is now of each source of a mixture."""

    books: Books
    findings: Findings
    splits: Mapping[str, Mapping[str, int]]
    languages: Mapping[str, int]
    labels: set[str]
    sources: Left


@dataclass(frozen=True)
class Treated:
    """What came of a shard."""

    folder: Path
    books: Books
    splits: Mapping[str, Mapping[str, int]]
    languages: Mapping[str, int]
    labels: Sequence[str]
    sources: Left
    documents: int


def decontaminate(
    corpus: Path,
    target: Path,
    cases: Cases,
    suites: Iterable[str],
    measures: Measures,
    work: Path,
    engine: Engine,
    observer: Observer,
) -> Decontaminated:
    """Make a corpus of another.

    Args:
        corpus: a `corpus` asset.
        target: gets a file of documents for each shard of which anything is left, books.parquet,
            contamination.parquet (`FINDING_COLUMNS`), edits.parquet where texts are cut, and scores.parquet as the
            other corpus has it. What is in it before is removed.
        cases: of all suites.
        suites: their digests.
        work: a folder for what is in between; what is found in it was made by the same call before it was stopped.

    Raises:
        UserError: this is no corpus, or nothing is left of it.
    """
    finished = work.with_name(f"{work.name}.finished")
    shutil.rmtree(finished, ignore_errors=True)
    require_columns(corpus, CORPUS_COLUMNS.names)
    findings = look(corpus, cases, measures.rule, measures.splits, work, engine, observer, suites)
    stage = partial(
        treat,
        folders=tuple(findings.folders),
        ordinary=findings.ordinary,
        measures=measures,
        work=work / "treated",
    )
    documents = sum(shard.rows for shard in findings.shards)
    treated: list[Treated] = []
    done = 0
    for shard, made in zip(findings.shards, engine.map(stage, findings.shards, _ticking(observer)), strict=True):
        treated.append(made)
        done += shard.rows
        safe_point(observer, done, documents, "documents written")
    if not any(made.documents for made in treated):
        raise UserError(
            "every document of the corpus holds cases of the suites, and nothing is left",
            hint="`overlap: drop-span` cuts the cases out; `overlap: flag` leaves all as it is",
        )
    media = work / "media"
    left_behind = leave_media([corpus], media)
    _put_together(corpus, target, findings, treated, media)
    counts = {split: {"documents": 0, "bytes": 0, "groups": 0} for split in SPLITS}
    languages: Counter[str] = Counter()
    for made in treated:
        languages.update(made.languages)
        for split, some in made.splits.items():
            for name, count in some.items():
                counts[split][name] += count
    sorting = Sorting(work / "sorting", engine.memory // 4)
    for split in SPLITS:
        counts[split]["groups"] = sum(map(len, sorting.different(_groups(treated, split))))
    books, labels = (
        added_up([*(made.books for made in treated), left_behind]),
        set().union(*(made.labels for made in treated)),
    )
    work.rename(finished)  # at once, so that no half of it is ever taken for whole
    shutil.rmtree(finished)
    sources = added_up_sources(made.sources for made in treated)
    return Decontaminated(books, findings, counts, dict(sorted(languages.items())), labels, sources)


def treat(
    shard: Shard, folders: Sequence[Path], ordinary: AbstractSet[tuple[str, str]], measures: Measures, work: Path
) -> Treated:
    """Write what is kept of the documents of a shard, its books and the edits that are made.

    Args:
        folders, ordinary: of what was found (`Findings`).
        work: of all shards.
    """

    def make(folder: Path) -> None:
        splits: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        groups: dict[str, set[int]] = {split: set() for split in SPLITS}
        languages: Counter[str] = Counter()
        labels: set[str] = set()
        sources: Left = {}
        columns = _columns(shard)
        with (
            TableWriter(folder / _DOCUMENTS, columns) as writer,
            RecordBooks(folder) as books,
            TableWriter(folder / EDITS_FILE, EDIT_COLUMNS) as edits,
        ):
            for row, found in _with_findings(shard, found_in(folders, shard, ordinary)):
                kept, rest, made = _treated(row, found, measures)
                for edit in made:
                    edits.add({"id": row["id"], "path": row["path"], **edit})
                books.enter(records=1, bytes_=row["bytes"])
                if kept is None:
                    books.leave(row["id"], row["path"], "dropped", row["bytes"], REASON, _said(found))
                    continue
                books.leave(row["id"], row["path"], "kept", rest, detail=_said(found) if found else "")
                if rest < row["bytes"]:
                    books.part("dropped", row["bytes"] - rest, REASON)
                writer.add(kept, kept["bytes"])
                splits[kept["split"]].update(documents=1, bytes=kept["bytes"])
                groups[kept["split"]].add(hash_of(kept["group"]))
                languages[kept["language"]] += kept["bytes"]
                if "source" in kept:
                    count_source(sources, kept)
                labels.update(kept["labels"])
            accounts = books.accounts()
        for split, some in groups.items():
            np.save(folder / f"{split}.npy", np.array(sorted(some), dtype=np.uint64), allow_pickle=False)
        counted = {"books": accounts.model_dump(mode="json"), "splits": splits, "languages": languages}
        (folder / _COUNTS).write_text(json.dumps({**counted, "labels": sorted(labels), "sources": sources}))

    folder = once(work / shard.name, make)
    counted = json.loads((folder / _COUNTS).read_text())
    counted["books"] = Books.model_validate(counted["books"])
    return Treated(folder, **counted, documents=sum(some.get("documents", 0) for some in counted["splits"].values()))


def _columns(shard: Shard) -> pa.Schema:
    """Those of a corpus, or of a mixture."""
    own = pq.read_schema(shard.path).names
    return MIXED_COLUMNS if set(MIXED_COLUMNS.names) <= set(own) else CORPUS_COLUMNS


def _put_together(corpus: Path, target: Path, findings: Findings, treated: Sequence[Treated], media: Path) -> None:
    empty(target)
    with TableWriter(target / FINDINGS_FILE, FINDING_COLUMNS) as table:
        for row in findings.rows():
            table.add(row)
    if (corpus / SCORES_FILE).exists():
        shutil.copyfile(corpus / SCORES_FILE, target / SCORES_FILE)
    for number, made in enumerate(made for made in treated if made.documents):
        place(made.folder / _DOCUMENTS, target / f"documents-{number:05d}.parquet")
    folders = [*(made.folder for made in treated), media]
    write_together(target / _BOOKS, BOOK_COLUMNS, batches_of(folder / _BOOKS for folder in folders))
    edits = write_together(target / EDITS_FILE, EDIT_COLUMNS, _edits(corpus, treated))
    if not edits and not (corpus / EDITS_FILE).exists():
        (target / EDITS_FILE).unlink()


def _edits(corpus: Path, treated: Sequence[Treated]) -> Iterator[pa.RecordBatch]:
    """The edits that were made before, with which a span of a text leads back to its page, and those made now."""
    if (corpus / EDITS_FILE).exists():
        with pq.ParquetFile(corpus / EDITS_FILE, pre_buffer=False) as table:
            yield from table.iter_batches(4096, columns=EDIT_COLUMNS.names, use_threads=False)
    yield from batches_of(made.folder / EDITS_FILE for made in treated)


def _groups(treated: Iterable[Treated], split: str) -> Iterator[NDArray[np.uint64]]:
    for made in treated:
        yield np.load(made.folder / f"{split}.npy", allow_pickle=False)


def _ticking(observer: Observer) -> Any:
    def tick() -> None:
        if observer.stop_requested():
            observer.stopped()

    return tick


def _with_findings(
    shard: Shard, findings: Iterable[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Every document with what was found in it."""
    coming = by_document(findings)
    number, found = next(coming, (-1, []))
    here = shard.first
    for batch in read_shard(shard, _columns(shard).names):
        for row in batch.to_pylist():
            if here == number:
                yield row, found
                number, found = next(coming, (-1, []))
            else:
                yield row, []
            here += 1


def _treated(
    row: Mapping[str, Any], found: Sequence[Mapping[str, Any]], measures: Measures
) -> tuple[dict[str, Any] | None, int, list[dict[str, Any]]]:
    """The document that is kept, if any, how many bytes of it as it came are left, and what was cut out."""
    if not found or measures.remedy == "flag":
        return dict(row), row["bytes"], []
    cuts = cut_stretches(row["text"], found, measures.around)
    if measures.remedy == "drop-document" or len(cuts) > measures.most_cuts:
        return None, 0, []
    rest = row["bytes"] - sum(len(row["text"][cut.start : cut.end].encode()) for cut in cuts)
    if rest < measures.minimum_bytes:
        return None, 0, []
    pieces = tuple(Piece(piece["at"], piece["start"], piece["length"]) for piece in row["pieces"])
    text = ChangingText(EditedText(row["text"], pieces) if pieces else EditedText.of(row["text"]))
    text.apply(cuts, "dropped", REASON)
    left = text.stored()
    return {**row, "text": left["text"], "bytes": left["bytes"], "pieces": left["pieces"]}, rest, text.edits


def cut_stretches(text: str, found: Iterable[Mapping[str, Any]], around: int) -> list[Edit]:
    """What is cut out of a text: the stretches with so many characters on either side, to the end of the word, joined
    where they touch. What stood before and after a cut does not become one paragraph."""
    cuts: list[tuple[int, int]] = []
    for row in sorted(found, key=lambda row: row["start"]):
        start, end = max(0, row["start"] - around), min(len(text), row["end"] + around)
        while (
            start > 0 and not (text[start - 1].isspace() or text[start].isspace()) and row["start"] - start < 2 * around
        ):
            start -= 1
        while (
            end < len(text) and not (text[end - 1].isspace() or text[end].isspace()) and end - row["end"] < 2 * around
        ):
            end += 1
        if cuts and start <= cuts[-1][1]:
            cuts[-1] = cuts[-1][0], max(end, cuts[-1][1])
        else:
            cuts.append((start, end))
    return [Edit(start, end, "\n\n" if start > 0 and end < len(text) else "", "contamination") for start, end in cuts]


def _said(found: Sequence[Mapping[str, Any]]) -> str:
    """Which cases a document holds, for its line in the books."""
    cases = sorted({f"{row['case']} of {row['suite'][:12]}" for row in found})
    more = f" and {len(cases) - 3} more" if len(cases) > 3 else ""
    return f"holds {', '.join(cases[:3])}{more}"
