"""What is done to documents before they are compared: what points at people is masked, what repeats is cut out.

Both are edits: each says which rule made it, where, and how many bytes went and came. The text itself is never in them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from loresmith.data.corpus import read_documents
from loresmith.data.documents import DOCUMENT_COLUMNS, PIECES, DocumentWriter
from loresmith.data.duplicates.exact_duplicates import exact_duplicates
from loresmith.data.edited_text import Edit, EditedText, Piece
from loresmith.data.observer import Observer, safe_point
from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.privacy.replacement import replacement
from loresmith.data.tables import TableWriter
from loresmith.ledger.books import Disposition

PrivacyAction = Literal["detect", "mask", "pseudonymise", "drop"]
Unit = Literal["paragraph", "line"]

_NAMES: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in ("id", "path", "rule")]
_NUMBERS: list[tuple[str, pa.DataType]] = [
    (name, pa.int64()) for name in ("start", "end", "before_bytes", "after_bytes")
]
EDIT_COLUMNS = pa.schema([*_NAMES, *_NUMBERS])
"""`start` and `end` are characters of the document's text as it was read."""

PREPARED_COLUMNS = pa.schema(
    [
        *DOCUMENT_COLUMNS,
        ("pieces", PIECES),
        ("ingested_bytes", pa.int64()),
        ("dropped", pa.string()),
        ("again", pa.bool_()),
        (
            "gone",
            pa.list_(pa.struct([("disposition", pa.string()), ("reason", pa.string()), ("bytes", pa.int64())])),
        ),
    ]
)
"""The documents with edited texts; `ingested_bytes` they had before, of which `gone` says where the rest went.
`dropped` says why a document is not to be kept, `again` that one before it says the same."""


@dataclass(frozen=True)
class Privacy:
    """What is done with what points at a person or opens a door.

    Attributes:
        recognisers: find it.
        actions: by kind of finding.
        key: of aliases.
    """

    recognisers: Recognisers
    actions: Mapping[str, PrivacyAction]
    key: bytes = b""


@dataclass
class Prepared:
    """What preparing documents came to.

    Attributes:
        folder: the documents, under `PREPARED_COLUMNS`.
        findings: how many of each kind were found.
        cut: how many passages were cut out, by unit.
    """

    folder: Path
    findings: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)


@dataclass
class _Text:
    """A document's text under way."""

    edited: EditedText
    dropped: str = ""
    edits: list[dict[str, Any]] = field(default_factory=list)
    gone: Counter[tuple[Disposition, str]] = field(default_factory=Counter)

    def apply(self, edits: Sequence[Edit], disposition: Disposition) -> None:
        """Apply edits of the present text, and note what of the text as it was read goes with them."""
        for edit in edits:
            start, end = self.edited.original(edit.start, edit.end)
            pieces = (
                self.edited.text[max(edit.start, piece.at) : min(edit.end, piece.at + piece.length)]
                for piece in self.edited.pieces
                if piece.at < edit.end and piece.at + piece.length > edit.start
            )
            before = sum(len(text.encode()) for text in pieces)
            self.gone[disposition, edit.rule] += before
            self.edits.append(
                {
                    "rule": edit.rule,
                    "start": start,
                    "end": end,
                    "before_bytes": before,
                    "after_bytes": len(edit.text.encode()),
                }
            )
        self.edited = self.edited.apply(edits)


def prepare(
    documents: Path,
    work: Path,
    edits_file: Path,
    privacy: Privacy | None,
    repeated: Sequence[Unit],
    observer: Observer,
) -> Prepared:
    """Edit documents.

    Paragraphs go before lines, so that a paragraph that repeats goes as a whole.

    Args:
        documents: a `documents` asset.
        work: an empty folder.
        edits_file: gets a row for each edit (`EDIT_COLUMNS`).
        privacy: None: nothing is looked for.
        repeated: the passages of which only the first one stays.
    """
    result = Prepared(work / "masked")
    with TableWriter(edits_file, EDIT_COLUMNS) as edits:
        rows = _rows(documents, DOCUMENT_COLUMNS, _unprepared, observer)
        masked = (_masked(row, text, privacy, result) for row, text in rows)
        _write(result.folder, _known_again(masked), edits)
        for unit in repeated:
            found = exact_duplicates(_first_ones(result.folder), work / f"repeated-{unit}", unit)
            rows = _rows(result.folder, PREPARED_COLUMNS, _prepared, observer)
            result.folder = work / f"without-{unit}"
            _write(result.folder, _without(rows, found, unit, result), edits)
    return result


def _known_again(rows: Iterator[tuple[dict[str, Any], _Text]]) -> Iterator[tuple[dict[str, Any], _Text]]:
    """Documents, of which those are marked that say the same as one before them."""
    seen: set[bytes] = set()
    for row, text in rows:
        digest = hashlib.sha256(text.edited.text.encode()).digest()
        row["again"] = digest in seen
        seen.add(digest)
        yield row, text


def _first_ones(folder: Path) -> Iterator[pa.RecordBatch]:
    """Ids and texts of documents that are there for the first time: of another copy, everything is there before."""
    for batch in read_documents(folder, ("id", "text", "again")):
        yield batch.filter(pc.invert(batch.column("again"))).drop_columns(["again"])


def _rows(
    folder: Path, columns: pa.Schema, text_of: Callable[[dict[str, Any]], _Text], observer: Observer
) -> Iterator[tuple[dict[str, Any], _Text]]:
    done = 0
    for batch in read_documents(folder, columns.names):
        for row in batch.to_pylist():
            yield row, text_of(row)
        done += batch.num_rows
        safe_point(observer, done, None, "documents")


def _unprepared(row: dict[str, Any]) -> _Text:
    row["ingested_bytes"] = row["bytes"]
    return _Text(EditedText.of(row["text"]))


def _prepared(row: dict[str, Any]) -> _Text:
    pieces = tuple(Piece(piece["at"], piece["start"], piece["length"]) for piece in row["pieces"])
    gone = Counter({(part["disposition"], part["reason"]): part["bytes"] for part in row["gone"]})
    return _Text(EditedText(row["text"], pieces), row["dropped"], gone=gone)


def _masked(
    row: dict[str, Any], text: _Text, privacy: Privacy | None, result: Prepared
) -> tuple[dict[str, Any], _Text]:
    """A document without what is not to be in it."""
    if privacy is None:
        return row, text
    edits = []
    for finding in privacy.recognisers.find(row["text"]):
        result.findings[finding.kind] += 1
        action = privacy.actions[finding.kind]
        if action == "drop":
            text.dropped = text.dropped or f"privacy: {finding.kind}"
        elif action != "detect":
            instead = replacement(finding, row["text"], action, privacy.key)
            edits.append(Edit(finding.start, finding.end, instead, f"privacy: {finding.kind}"))
    text.apply(edits, "masked")
    return row, text


def _without(
    rows: Iterator[tuple[dict[str, Any], _Text]], found: pa.Table, unit: Unit, result: Prepared
) -> Iterator[tuple[dict[str, Any], _Text]]:
    """Documents without the passages that were found to stand before; both are in the order of the documents."""
    passages = (row for batch in found.to_batches(max_chunksize=1024) for row in batch.to_pylist())
    coming = next(passages, None)
    for row, text in rows:
        edits = []
        while coming is not None and coming["document"] == row["id"]:
            end = coming["end"]
            while row["text"][end : end + 1] == "\n":
                end += 1
            edits.append(Edit(coming["start"], end, "", f"repeated {unit}"))
            coming = next(passages, None)
        result.cut[unit] += len(edits)
        text.apply(edits, "merged")
        yield row, text


def _write(folder: Path, documents: Iterator[tuple[dict[str, Any], _Text]], edits: TableWriter) -> None:
    folder.mkdir(parents=True)
    with DocumentWriter(folder, PREPARED_COLUMNS) as writer:
        for row, text in documents:
            for edit in text.edits:
                edits.add({"id": row["id"], "path": row["path"], **edit})
            writer.add(
                {
                    **row,
                    "text": text.edited.text,
                    "bytes": len(text.edited.text.encode()),
                    "pieces": [vars(piece) for piece in text.edited.pieces],
                    "dropped": text.dropped,
                    "gone": [
                        {"disposition": disposition, "reason": reason, "bytes": count}
                        for (disposition, reason), count in sorted(text.gone.items())
                    ],
                }
            )
