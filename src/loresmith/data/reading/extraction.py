"""What reading a file gave, as it goes from a worker to the step and into the cache: an Arrow stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

from loresmith.data.readers.record import Record, Refused

_TEXTS: list[tuple[str, pa.DataType]] = [
    (name, pa.string()) for name in ("text", "anchor", "metadata", "media_type", "language", "reason", "detail")
]
_COLUMNS = pa.schema(
    [
        *_TEXTS,
        ("bytes", pa.int64()),
        ("start", pa.int64()),
        ("labels", pa.list_(pa.string())),
        ("pages", pa.list_(pa.struct([("number", pa.int32()), ("start", pa.int64())]))),
        ("refused", pa.bool_()),
    ]
)
_BATCH_ROWS = 1024
_HEADER = b"extraction"


@dataclass(frozen=True)
class FoundMember:
    """A file that was found inside another: its name, size in bytes, sha256 and modification time."""

    name: str
    size: int
    sha256: str
    modified: float


@dataclass(frozen=True)
class Extraction:
    """All that reading a file gave.

    Attributes:
        media_type, language: of the file.
        rows: an Arrow stream of its records and of the parts that were refused.
        members: the files in it.
        lasting: whether reading it again would give the same; not so where a limit of time or memory was met.
    """

    media_type: str
    language: str
    rows: bytes
    members: tuple[FoundMember, ...] = ()
    lasting: bool = True

    def records(self) -> Iterator[Record | Refused]:
        """The records and the refused parts, in order."""
        with pa.ipc.open_stream(self.rows) as stream:
            for batch in stream:
                for row in batch.to_pylist():
                    if row["refused"]:
                        yield Refused(row["reason"], row["detail"], row["bytes"], row["anchor"])
                    else:
                        yield Record(
                            row["text"],
                            row["bytes"],
                            row["anchor"],
                            row["metadata"],
                            tuple((page["number"], page["start"]) for page in row["pages"]),
                            row["start"],
                            row["media_type"],
                            row["language"],
                            tuple(row["labels"]),
                        )

    def to_bytes(self) -> bytes:
        """The whole in one piece; see `from_bytes`."""
        header = {
            "media_type": self.media_type,
            "language": self.language,
            "members": [asdict(member) for member in self.members],
            "lasting": self.lasting,
        }
        encoded = json.dumps(header).encode()
        return b"%s %d\n%s%s" % (_HEADER, len(encoded), encoded, self.rows)

    @classmethod
    def from_bytes(cls, data: bytes) -> Extraction:
        """What `to_bytes` made. Raises ValueError for anything else."""
        first, _, rest = data.partition(b"\n")
        name, _, length = first.partition(b" ")
        if name != _HEADER or not length.isdigit():
            raise ValueError("this is no extraction")
        header = json.loads(rest[: int(length)])
        members = tuple(FoundMember(**member) for member in header["members"])
        return cls(header["media_type"], header["language"], rest[int(length) :], members, header["lasting"])


def refusal(reason: str, detail: str, size: int, media_type: str = "", lasting: bool = True) -> Extraction:
    """The extraction of a file that is refused as a whole."""
    return Extraction(media_type, "", encode_rows([Refused(reason, detail, size)]), lasting=lasting)


def encode_rows(found: Sequence[Record | Refused]) -> bytes:
    """The rows of an extraction."""
    rows = [_row(record) for record in found]
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, _COLUMNS, options=options) as stream:
        for first in range(0, len(rows), _BATCH_ROWS):
            stream.write_batch(pa.RecordBatch.from_pylist(rows[first : first + _BATCH_ROWS], _COLUMNS))
    return bytes(sink.getvalue())


def _row(found: Record | Refused) -> dict[str, object]:
    if isinstance(found, Refused):
        return {
            "refused": True,
            "reason": found.reason,
            "detail": found.detail,
            "bytes": found.bytes,
            "anchor": found.anchor,
        }
    pages = [{"number": number, "start": start} for number, start in found.pages]
    return {**vars(found), "labels": list(found.labels), "pages": pages, "refused": False}
