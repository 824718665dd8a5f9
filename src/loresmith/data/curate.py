"""Documents to a corpus: what is too short goes, what is there twice is merged, and near-identical documents stay on
one side of the split between training and evaluation."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loresmith.data.corpus import read_documents
from loresmith.data.documents import CORPUS_COLUMNS, DOCUMENT_COLUMNS, DocumentWriter
from loresmith.data.duplicates.clusters import Clusters, cluster_names, join_similar
from loresmith.data.duplicates.minhash import HASHES, signatures
from loresmith.data.observer import Observer, safe_point
from loresmith.data.preparation import PREPARED_COLUMNS, Privacy, Unit, prepare
from loresmith.data.record_books import RecordBooks
from loresmith.data.shards import SPLITS
from loresmith.data.splitting import Shares, split_groups
from loresmith.errors import UserError
from loresmith.ledger.books import Books, Disposition


@dataclass(frozen=True)
class CurationRules:
    """What `curate` decides by.

    Attributes:
        minimum_bytes: a shorter document is dropped.
        similarity: from here on two documents are near-identical (estimated Jaccard similarity of word shingles).
        drop_near_duplicates: keep one document of each near-identical group instead of all.
        group_by_folders: documents that share the first so many folders of their paths are one group, too; None:
            folders do not matter.
        shares: what is held out.
        use: what the corpus is for; documents that may not be used so are left out.
        as_of: documents that might be kept only until a day before this one (YYYY-MM-DD) are left out; empty: none is.
        privacy: what is masked; None: nothing is looked for.
        repeated: passages of which only the first one stays.
    """

    minimum_bytes: int
    similarity: float
    drop_near_duplicates: bool
    group_by_folders: int | None
    shares: Shares
    use: str = "train"
    as_of: str = ""
    privacy: Privacy | None = None
    repeated: Sequence[Unit] = ()


@dataclass
class _Document:
    """What is remembered of a document while its text is on disk."""

    id: str
    path: str
    bytes: int
    digest: str
    labels: set[str]
    disposition: Disposition = "kept"
    reason: str = ""
    detail: str = ""

    def merge_into(self, kept: _Document, reason: str) -> None:
        """Leave in favour of another document, which takes the labels over."""
        self.disposition, self.reason, self.detail = "merged", reason, f"of {kept.id} {kept.path}"
        kept.labels |= self.labels


@dataclass
class Curated:
    """What came of it.

    Attributes:
        splits: documents, bytes and groups of each split.
        near_identical: how many documents are near-identical to an earlier one.
        moved: the groups that changed sides so that no split is empty.
        labels: all that the corpus carries.
        findings: how many of each kind point at a person or open a door, in the documents as they were read.
        cut: how many repeated passages were cut out, by unit.
    """

    books: Books
    splits: dict[str, dict[str, int]]
    near_identical: int
    moved: Mapping[str, str]
    labels: set[str]
    findings: Mapping[str, int] = field(default_factory=dict)
    cut: Mapping[str, int] = field(default_factory=dict)


def curate(documents: Path, corpus: Path, rules: CurationRules, work: Path, observer: Observer) -> Curated:
    """Make a corpus.

    A document that is there more than once stays under its first path, with the labels of all; of a near-identical
    group, if only one is wanted, the longest stays (then the first).

    Args:
        documents: a `documents` asset.
        corpus: empty folder; gets documents-*.parquet, with `split` and `group`, books.parquet, and, where texts are
            edited, edits.parquet.
        work: a folder for what is in between.

    Raises:
        UserError: nothing is left, or there are fewer groups than splits.
    """
    prepared = None
    if rules.privacy is not None or rules.repeated:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        prepared = prepare(documents, work, corpus / "edits.parquet", rules.privacy, rules.repeated, observer)
        documents = prepared.folder
    found, different, signs = _look(documents, rules, prepared is not None, observer)
    if not different:
        reasons = Counter(document.reason for document in found).most_common()
        said = ", ".join(f"{count} {reason}" for reason, count in reasons)
        raise UserError(
            f"none of the {len(found)} documents is left: {said}",
            hint="lower minimum_bytes, or allow the documents what they are wanted for",
        )
    clusters = Clusters()
    join_similar(clusters, signs, rules.similarity)
    near_identical = sum(clusters.find(member) != member for member in range(len(different)))
    if rules.drop_near_duplicates:
        _merge_near_identical(different, clusters)
    groups = dict(zip((document.id for document in different), _groups(different, clusters, rules), strict=True))
    kept = [document for document in different if document.disposition == "kept"]
    splitting = split_groups((groups[document.id] for document in kept), rules.shares)
    splits = {
        split: {
            "documents": sum(splitting.sides[groups[document.id]] == split for document in kept),
            "bytes": sum(document.bytes for document in kept if splitting.sides[groups[document.id]] == split),
            "groups": list(splitting.sides.values()).count(split),
        }
        for split in SPLITS
    }
    places = {document.id: (splitting.sides[groups[document.id]], groups[document.id]) for document in kept}
    books = _write(documents, corpus, found, places, prepared is not None, observer)
    labels = set().union(*(document.labels for document in kept))
    curated = Curated(books, splits, near_identical, splitting.moved, labels)
    if prepared is not None:
        curated.findings, curated.cut = prepared.findings, prepared.cut
        shutil.rmtree(work)
    return curated


def _look(
    documents: Path, rules: CurationRules, prepared: bool, observer: Observer
) -> tuple[list[_Document], list[_Document], NDArray[np.uint32]]:
    """All documents, those of them that are long enough and different from one another, and the latter's signatures."""
    found: list[_Document] = []
    different: list[_Document] = []
    signs = [np.empty((0, HASHES), dtype=np.uint32)]
    first: dict[str, _Document] = {}
    columns = ("id", "path", "text", "labels", "uses", "retain_until", *(("dropped",) if prepared else ()))
    for batch in read_documents(documents, columns):
        texts = []
        for row in batch.to_pylist():
            encoded = row["text"].encode()
            digest = hashlib.sha256(encoded).hexdigest()
            document = _Document(row["id"], row["path"], len(encoded), digest, set(row["labels"]))
            found.append(document)
            reason = _refusal(row, rules)
            if reason:
                document.disposition, document.reason = "dropped", reason
            elif document.bytes < rules.minimum_bytes:
                document.disposition, document.reason = "dropped", "too short"
            elif digest in first:
                document.merge_into(first[digest], "exact duplicate")
            else:
                first[digest] = document
                different.append(document)
                texts.append(row["text"])
        signs.append(signatures(texts))
        safe_point(observer, len(found), None, "documents")
    return found, different, np.concatenate(signs)


def _refusal(row: Mapping[str, Any], rules: CurationRules) -> str:
    """Why a document may not be in the corpus; empty if it may."""
    if rules.use not in row["uses"]:
        return f"not allowed: {rules.use}"
    if row["retain_until"] and row["retain_until"] < rules.as_of:
        return "kept too long"
    return str(row.get("dropped", ""))


def _merge_near_identical(different: Sequence[_Document], clusters: Clusters) -> None:
    members: dict[int, list[_Document]] = {}
    for number, document in enumerate(different):
        members.setdefault(clusters.find(number), []).append(document)
    for alike in members.values():
        longest = max(alike, key=lambda document: document.bytes)
        for document in alike:
            if document is not longest:
                document.merge_into(longest, "near duplicate")


def _groups(different: Sequence[_Document], clusters: Clusters, rules: CurationRules) -> list[str]:
    """The group of each document: a digest that names its near-identical cluster, or its folder's."""
    if rules.group_by_folders is None:
        return cluster_names(clusters, (document.digest for document in different))
    keys = []
    first: dict[str, int] = {}
    for number, document in enumerate(different):
        folder = "/".join(document.path.split("/")[:-1][: rules.group_by_folders])
        clusters.join(number, first.setdefault(folder, number))
        keys.append(hashlib.sha256(f"folder/{folder}".encode()).hexdigest())
    return cluster_names(clusters, keys)


def _write(
    documents: Path,
    corpus: Path,
    found: Sequence[_Document],
    places: Mapping[str, tuple[str, str]],
    prepared: bool,
    observer: Observer,
) -> Books:
    """Write the documents that are kept, with their (split, group), and the books of all."""
    written = iter(found)
    with DocumentWriter(corpus, CORPUS_COLUMNS) as writer, RecordBooks(corpus) as books:
        done = 0
        columns = PREPARED_COLUMNS if prepared else DOCUMENT_COLUMNS
        for batch in read_documents(documents, columns.names):
            for row in batch.to_pylist():
                document = next(written)
                entered = row.pop("ingested_bytes", row["bytes"])
                gone = row.pop("gone", []) if document.disposition == "kept" else []
                rest = entered - sum(part["bytes"] for part in gone)
                books.enter(records=1, bytes_=entered)
                books.leave(document.id, document.path, document.disposition, rest, document.reason, document.detail)
                for part in gone:
                    books.part(part["disposition"], part["bytes"], part["reason"])
                if document.disposition == "kept":
                    split, group = places[row["id"]]
                    pieces = row.get("pieces", []) if gone else []
                    own = {"labels": sorted(document.labels), "split": split, "group": group, "pieces": pieces}
                    writer.add({**{name: row[name] for name in DOCUMENT_COLUMNS.names}, **own})
            done += batch.num_rows
            safe_point(observer, done, len(found), "documents")
        return books.accounts()
