"""Files of conversations to a dataset: every line is a record that is kept, or named with the reason why it is not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet

from loresmith.data.curation.terms import Terms
from loresmith.data.document_row import document_id
from loresmith.data.fingerprint import ContentDigest, raw_digest
from loresmith.data.ingest import Selection
from loresmith.data.messages import BadRecordError, Conversation, json_text
from loresmith.data.messages_dataset import RECORD_COLUMNS, RECORDS
from loresmith.data.messages_lines import MessageLine, content_digest
from loresmith.data.messages_reader import MessagesReader
from loresmith.data.messages_tables import media_type_of
from loresmith.data.observer import Observer, safe_point
from loresmith.data.raw_files import RawFile, UnreadFile, read_raw
from loresmith.data.readers.record import metadata_json
from loresmith.data.reading.limits import Limits
from loresmith.data.record_books import RecordBooks
from loresmith.data.rights import DocumentRights, Rights
from loresmith.data.scan import Entry, scan
from loresmith.data.splitting import Shares, split_groups
from loresmith.data.tables import TableWriter
from loresmith.errors import UserError
from loresmith.ledger.books import Books

OnError = Literal["refuse", "quarantine"]

_LIMITS = Limits()

LISTED_AT_MOST = 20
"""Bad records that a refusal names."""

MEDIA_TYPE, _SIDECAR = "application/jsonl", "application/yaml"


@dataclass
class IngestedMessages:
    """What came of it.

    Attributes:
        records: kept, by split.
        turns: messages by role.
        duplicates: kept records of which an equal one came before.
        erased: how many were left out since they were once erased.
        stray_sidecars: the paths of files that are not there and of which sidecars speak.
        isolation: whether the reader had a network; empty where none was needed.
    """

    books: Books = field(default_factory=Books)
    content: str = ""
    files: int = 0
    file_bytes: int = 0
    records: Counter[str] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    labels: set[str] = field(default_factory=set)
    source_labels: set[str] = field(default_factory=set)
    quarantined: Counter[str] = field(default_factory=Counter)
    erased: int = 0
    stray_sidecars: AbstractSet[str] = frozenset()
    isolation: str = ""


@dataclass(frozen=True)
class MessageRules:
    """How records are read.

    Attributes:
        on_error: whether a bad record stops the work, once all are known, or is left out.
        metadata_fields: keys that records may have besides those of their form.
        validation_share: share of the groups of equal records that is held out.
    """

    on_error: OnError = "refuse"
    metadata_fields: Collection[str] = ()
    validation_share: float = 0.05


def ingest_messages(
    selection: Selection,
    rules: MessageRules,
    rights: Rights,
    source: Path,
    dataset: Path,
    observer: Observer,
    erased: AbstractSet[str] = frozenset(),
    limits: Limits = _LIMITS,
) -> IngestedMessages:
    """Read files of JSON Lines, or tables with a conversation a row, into a `source` snapshot and a `dataset`.

    The books count records (lines, and files that cannot be read) and bytes.

    Args:
        source: empty folder; gets files/<path> and listing.jsonl.
        dataset: empty folder; gets records.parquet and books.parquet.
        erased: what is left out: ids of records, and sha256 of what they say and of files. A file that holds any of it
            is not kept in the source.
        limits: of reading a file; it may take a second longer for every MiB, and its own bytes do not count.

    Raises:
        UserError: a place is missing, nothing matches, no record is good, or one is bad and rules say to refuse.
    """
    places = [Path(place) for place in selection.places]
    entries = scan(places, selection.include, selection.exclude)
    content, result = ContentDigest(), IngestedMessages()
    groups: Counter[str] = Counter()
    terms: dict[str, Terms] = {}
    known: dict[Terms, Terms] = {}  # of few kinds, for many records
    bad: list[str] = []
    unsplit = dataset / f"unsplit-{RECORDS}"
    (source / "files").mkdir()
    with (
        (source / "listing.jsonl").open("w", encoding="utf-8") as listing,
        TableWriter(unsplit, RECORD_COLUMNS) as writer,
        RecordBooks(dataset, "records") as books,
        MessagesReader(rules.metadata_fields, limits, dataset / "reading") as reader,
    ):
        for done, entry in enumerate(entries):
            tick = partial(safe_point, observer, done, len(entries), "files")
            raw = read_raw(entry, selection.max_file_bytes)
            digest = raw_digest(raw)
            books.enter(bytes_=raw.size)
            if digest in erased:
                books.enter(records=1)
                books.leave_out(raw.size, "erased")
                result.erased += 1
                continue
            content.add(entry.path, raw.reason if isinstance(raw, UnreadFile) else "", raw.size, digest, entry.target)
            held = rights.of(entry.path)
            if said := rights.sidecars.said_of(entry.path):
                books.enter(records=1)
                id_ = document_id(entry.path, digest)
                books.leave(id_, entry.path, "dropped", raw.size, "rights sidecar", said)
                if isinstance(raw, RawFile):
                    listing.write(_keep_file(source, entry, raw, digest, _SIDECAR))
                continue
            lines = _lines(raw, entry.path, reader, tick)
            if isinstance(raw, RawFile) and not (erased and any(line.is_erased(erased) for line in lines)):
                media_type = media_type_of(entry.path, raw.data) or MEDIA_TYPE
                listing.write(_keep_file(source, entry, raw, digest, media_type))
                result.files += 1
                result.file_bytes += raw.size
                result.source_labels.update(held.labels)
            for number, line in enumerate(lines):
                if number % 1024 == 0:
                    tick()
                books.enter(records=1)
                if line.is_erased(erased):
                    books.leave(line.id, line.anchor, "dropped", line.bytes, "erased")
                    result.erased += 1
                elif isinstance(line.found, Conversation):
                    row = _row(line, line.found, held)
                    writer.add(row, line.bytes)
                    books.leave(line.id, line.anchor, "kept", line.bytes)
                    groups[row["group"]] += 1
                    on_terms = Terms.of(row)
                    if (before := terms.get(row["group"])) is not None:
                        on_terms = before.and_those_of(on_terms)
                    terms[row["group"]] = known.setdefault(on_terms, on_terms)
                    result.labels.update(row["labels"])
                    result.turns.update(message["role"] for message in line.found.messages)
                elif line.found is None:
                    books.leave(line.id, line.anchor, "dropped", line.bytes, "blank line")
                else:
                    books.leave(line.id, line.anchor, "quarantined", line.bytes, line.found.reason, str(line.found))
                    result.quarantined[line.found.reason] += 1
                    bad.append(f"{line.where}: {line.found.reason}: {line.found}")
        observer.progress(len(entries), len(entries), "files")
        result.isolation = reader.isolation
    if bad and (rules.on_error == "refuse" or not groups):
        raise _refusal(bad, groups.total())
    if not groups:
        raise UserError("there is not one record", where=", ".join(map(str, selection.places)))
    result.records = _split(unsplit, dataset / RECORDS, groups, terms, rules.validation_share)
    result.stray_sidecars = rights.sidecars.strays
    result.duplicates = groups.total() - len(groups)
    result.books, result.content = books.accounts(), content.hexdigest()
    return result


def _lines(
    raw: RawFile | UnreadFile, path: str, reader: MessagesReader, tick: Callable[[], None]
) -> Iterable[MessageLine]:
    if isinstance(raw, UnreadFile):
        said = BadRecordError(raw.reason, raw.detail or "the file was not read")
        return [MessageLine(path, 0, "", raw.size, said)]
    return reader.read(raw.data, path, tick)


def _row(line: MessageLine, found: Conversation, held: DocumentRights) -> dict[str, Any]:
    """A row of the dataset; its split is known when all groups are."""
    return {
        "id": line.id,
        "split": "",
        "group": content_digest(found),
        "messages": json_text(list(found.messages)),
        "tools": json_text(list(found.tools)),
        "path": line.path,
        "line": line.number,
        "licence": held.licence,
        "labels": sorted({*held.labels, *found.labels}),
        "metadata": metadata_json(found.metadata),
        "bytes": line.bytes,
        "owner": held.owner,
        "uses": held.uses,
        "retain_until": held.retain_until,
    }


def _split(
    unsplit: Path, target: Path, groups: Counter[str], terms: Mapping[str, Terms], validation_share: float
) -> Counter[str]:
    """Write the table again with everybody's split; equal records are on one side, and on the terms of all of them.
    Returns the records of each side."""
    if validation_share and len(groups) < 2:
        raise UserError(
            f"all {groups.total()} records are the same one, which cannot be held out as well as learnt",
            hint="add records, or set validation_share to 0",
        )
    sides = split_groups(groups, Shares(validation_share, 0.0)).sides
    counts: Counter[str] = Counter()
    with pyarrow.parquet.ParquetFile(unsplit, pre_buffer=False) as table, TableWriter(target, RECORD_COLUMNS) as writer:
        for batch in table.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                side, held = sides[row["group"]], terms[row["group"]]
                of_all = {
                    "labels": sorted(held.labels),
                    "uses": sorted(held.uses),
                    "retain_until": held.retain_until,
                }
                writer.add({**row, "split": side, **of_all}, row["bytes"])
                counts[side] += 1
    unsplit.unlink()
    return counts


def _refusal(bad: list[str], good: int) -> UserError:
    """What is said of bad records; leaving them out helps only where there are good ones."""
    more = f"\nand {len(bad) - LISTED_AT_MOST} more" if len(bad) > LISTED_AT_MOST else ""
    return UserError(
        "\n".join([f"{len(bad)} of {len(bad) + good} records cannot be learnt from:", *bad[:LISTED_AT_MOST]]) + more,
        hint="mend them, or leave them out with `on_error: quarantine`, which lists them in books.parquet"
        if good
        else "mend them: there is none that can be learnt from",
    )


def _keep_file(source: Path, entry: Entry, raw: RawFile, digest: str, media_type: str) -> str:
    """Keep a file's bytes as they were read; returns its line of the listing."""
    target = source / "files" / entry.path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(raw.data)
    row = {"path": entry.path, "bytes": raw.size, "sha256": digest, "media_type": media_type}
    row |= {"target": entry.target} if entry.target else {}
    return json.dumps(row, ensure_ascii=False) + "\n"
