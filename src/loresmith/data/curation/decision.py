"""The decision: what becomes of each document, from all that the rules saw in it and what it has in common with others.

What comes first counts: what may not be used at all, what is a picture or a recording, what is too short, what a
profile does not let pass, copies, near-identical documents, documents inside others. Nothing else in curation drops,
merges or quarantines a document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from numpy.typing import NDArray

from loresmith.data.curation.examination import FORBIDDEN
from loresmith.data.curation.mapped_rows import MappedRows, mapped_full
from loresmith.data.curation.terms import Terms
from loresmith.data.media import MEDIA, is_media
from loresmith.ledger.books import Disposition

_SEVERITY: tuple[tuple[str, Disposition], ...] = (("drop", "dropped"), ("quarantine", "quarantined"))


_DIGEST = 32
_CALLED = pa.schema([("id", pa.string()), ("path", pa.string())])


@dataclass(frozen=True)
class Decision:
    """What becomes of a document.

    Attributes:
        reason: one of a few.
        detail: what there is to say of this document.
    """

    disposition: Disposition = "kept"
    reason: str = ""
    detail: str = ""


KEPT = Decision()
TOO_SHORT = "too short"


def alone(sign: Mapping[str, Any], minimum_bytes: int) -> Decision:
    """What becomes of a document by itself.

    Args:
        sign: `refused`, `breaches`, `profile`, `bytes`, `ingested_bytes` and `media_type` of the document.
        minimum_bytes: that it must have.
    """
    if sign["refused"]:
        return Decision("dropped", sign["refused"])
    if is_media(sign["ingested_bytes"], sign["media_type"]):
        return Decision("kept", MEDIA, sign["media_type"])
    if not sign["bytes"]:
        return Decision("dropped", "no text", sign["media_type"])
    if sign["bytes"] < minimum_bytes:
        cut = sign["bytes"] < sign["ingested_bytes"]
        return Decision("dropped", TOO_SHORT, f"{sign['bytes']} of {sign['ingested_bytes']} bytes" if cut else "")
    for consequence, disposition in _SEVERITY:
        for breach in sign["breaches"]:
            if breach["consequence"] == consequence:
                value = "" if breach["value"] is None else f" {breach['value']:.6g}:"
                return Decision(
                    disposition, f"{sign['profile']}: {breach['name']}", f"{breach['name']}{value} {breach['because']}"
                )
    return KEPT


@dataclass
class Decisions:
    """What becomes of all documents; legend: N documents, numbered in their order.

    Attributes:
        ids, paths: (N,).
        bytes: (N,) of the edited text.
        digests: (N, 32) sha256 of the edited text.
        terms: (N,) on which terms each may be used; of a document that others are merged into, on theirs too.
        fates: (N,).
        merged_into: (N,) the number of the document that stays for it; -1: none.
        alike: (N,) the number of the document it is near-identical to, or inside; -1: none.
        similarity: (N,) how much it has in common with that one; NaN: there is none.
        folder: where these numbers lie in files that are mapped into memory; None: they are in memory.
    """

    ids: pa.ChunkedArray[Any]
    paths: pa.ChunkedArray[Any]
    bytes: NDArray[np.int64]
    digests: NDArray[np.uint8]
    terms: list[Terms]
    fates: list[Decision]
    folder: Path | None = None
    merged_into: NDArray[np.int64] = field(init=False)
    alike: NDArray[np.int64] = field(init=False)
    similarity: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.fates)
        self.merged_into = mapped_full(self.folder, "merged-into", count, np.dtype(np.int64), -1)
        self.alike = mapped_full(self.folder, "alike", count, np.dtype(np.int64), -1)
        self.similarity = mapped_full(self.folder, "similarity", count, np.dtype(np.float64), np.nan)

    @classmethod
    def from_signs(
        cls,
        batches: Iterable[pa.RecordBatch],
        minimum_bytes: int,
        folder: Path | None = None,
        before: Decisions | None = None,
    ) -> Decisions:
        """Decide on each document by itself.

        Args:
            batches: `SIGNS` of all documents.
            folder: gets files for ids, paths and numbers, which are in memory as far as they are looked at; None: they
                are in memory.
            before: decisions from before the texts were last changed; what was merged stays so.
        """
        known: dict[Decision, Decision] = {}
        terms_known: dict[Terms, Terms] = {}
        if folder is not None:
            folder.mkdir(exist_ok=True)
        sizes = MappedRows(folder, "sizes", np.dtype(np.int64))
        digests = MappedRows(folder, "digests", np.dtype((np.uint8, _DIGEST)))
        terms: list[Terms] = []
        fates: list[Decision] = []
        for batch in (called := _Names(folder)).keep(batches):
            sizes.add(batch.column("bytes").to_numpy())
            together = b"".join(row["digest"] for row in batch.select(["digest"]).to_pylist())
            digests.add(np.frombuffer(together, dtype=np.uint8).reshape(-1, _DIGEST))
            for sign in batch.drop_columns(["id", "path", "digest"]).to_pylist():
                fate = alone(sign, minimum_bytes)
                fates.append(known.setdefault(fate, fate))
                held = Terms.of(sign)
                terms.append(terms_known.setdefault(held, held))
        decisions = cls(*called.read(), sizes.read(), digests.read(), terms, fates, folder)
        if before is not None:
            for number in np.flatnonzero(before.merged_into >= 0).tolist():
                decisions._merge(number, int(before.merged_into[number]), before.fates[number].reason)
        return decisions

    def __len__(self) -> int:
        return len(self.fates)

    @property
    def kept(self) -> NDArray[np.bool_]:
        """(N,) which documents stay with their text."""
        return np.fromiter((fate is KEPT or fate == KEPT for fate in self.fates), dtype=np.bool_, count=len(self))

    @property
    def media(self) -> NDArray[np.bool_]:
        """(N,) which documents stay as pictures and recordings, and are compared with nothing."""
        return np.fromiter((fate.reason == MEDIA for fate in self.fates), dtype=np.bool_, count=len(self))

    def carried(self, chosen: NDArray[np.bool_]) -> set[str]:
        """All labels of chosen documents."""
        return set().union(*{terms.labels for terms, is_chosen in zip(self.terms, chosen, strict=True) if is_chosen})

    def keep_owners(self, before: Decisions, owners: NDArray[np.integer[Any]]) -> None:
        """Keep documents that have become too short by cutting, but have a passage that was cut out of others for it.

        Args:
            before: decisions from before the cutting.
            owners: numbers of documents that have a passage first.
        """
        for number in owners.tolist():
            if self.fates[number].reason == TOO_SHORT and before.fates[number] == KEPT:
                self.fates[number] = KEPT

    def merge_copies(self) -> None:
        """Merge each document that says the same as one before it into the first of them.

        What is said of one of them holds for their text: if one is not allowed, none is.
        """
        forbidden = np.fromiter((fate.reason.startswith(FORBIDDEN) for fate in self.fates), np.bool_, len(self))
        standing = np.flatnonzero(self.kept | (forbidden & (self.bytes > 0)))
        prefixes = self.digests[standing, :8].copy().view(np.uint64)[:, 0]
        order = np.argsort(prefixes, kind="stable")
        same = np.diff(prefixes[order]) == 0
        members = standing[order[np.r_[False, same] | np.r_[same, False]]] if len(order) else standing
        refused: dict[bytes, int] = {}
        for number in members[forbidden[members]].tolist():
            refused.setdefault(self.digests[number].tobytes(), number)
        first: dict[bytes, int] = {}
        for number in np.sort(members[~forbidden[members]]).tolist():
            like = refused.get(self.digests[number].tobytes())
            if like is not None:
                said = f"so is {self.ids[like]} {self.paths[like]}, which says the same"
                self.fates[number] = Decision("dropped", self.fates[like].reason, said)
                continue
            original = first.setdefault(self.digests[number].tobytes(), number)
            if number != original:
                self._merge(number, original, "exact duplicate")

    def note_alike(self, found: pa.Table) -> None:
        """Note which documents are near-identical to, or inside, another; nothing is decided by that.

        Args:
            found: `FINDINGS` about whole documents, which have their numbers for ids.
        """
        for number, other, similarity in self._found(found):
            self.alike[number], self.similarity[number] = other, similarity

    def merge_found(self, found: pa.Table, reason: str) -> None:
        """Merge documents into those that were found to stay for them, where both are still kept."""
        kept = self.kept
        for number, other in self.numbered(found):
            if kept[number] and kept[other]:
                self._merge(number, other, reason)

    def _merge(self, number: int, original: int, reason: str) -> None:
        self.fates[number] = Decision("merged", reason, f"of {self.ids[original]} {self.paths[original]}")
        self.merged_into[number] = original
        self.terms[original] = self.terms[original].and_those_of(self.terms[number])

    def numbered(self, found: pa.Table) -> Iterator[tuple[int, int]]:
        """The numbers of documents that were found to be alike."""
        return ((number, other) for number, other, _ in self._found(found))

    def _found(self, found: pa.Table) -> Iterator[tuple[int, int, float]]:
        """`FINDINGS`, in which documents have their numbers for ids."""
        for batch in found.to_batches(max_chunksize=1 << 16):
            for row in batch.select(["document", "kept", "similarity"]).to_pylist():
                yield int(row["document"]), int(row["kept"]), row["similarity"]


class _Names:
    """Ids and paths, in a file or in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / "names.arrow" if folder is not None else None
        self._batches: list[pa.RecordBatch] = []

    def keep(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same batches, of which the names are kept."""
        if self._path is None:
            for batch in batches:
                self._batches.append(batch.select(_CALLED.names))
                yield batch
            return
        with pa.OSFile(str(self._path), "wb") as file, pyarrow.ipc.new_file(file, _CALLED) as writer:
            for batch in batches:
                writer.write_batch(batch.select(_CALLED.names))
                yield batch

    def read(self) -> tuple[pa.ChunkedArray[Any], pa.ChunkedArray[Any]]:
        if self._path is None:
            table = pa.Table.from_batches(self._batches, _CALLED)
        else:
            with pa.memory_map(str(self._path)) as mapped:
                table = pyarrow.ipc.open_file(mapped).read_all()
        return table.column("id"), table.column("path")
