"""What a reader finds in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loresmith.data.recognition.models import RecognitionModels


@dataclass(frozen=True)
class ReadingRules:
    """What a recipe says about reading.

    Attributes:
        encodings: as `decoding` uses them.
        text_field: the field of a record (of JSON, of a table) that holds its text.
        template: how a record becomes text, as `record_template` has it; None: its text field, or its fields in lines.
        labels_field: the field of a record with its access labels; empty: there is none.
        max_unpacked_bytes: what one archive may unpack to, or one compressed table decode to, in bytes.
        max_member_bytes: what one file inside another may unpack to, in bytes; it is held in memory.
        max_members: how many files one archive, or parts one mail, may hold.
        ocr: what recognises scanned pages and pictures of text; None: nothing does.
        ocr_confidence: mean confidence below which a page is left out, from 0 to 1.
    """

    encodings: tuple[str, ...] = ("utf-8",)
    text_field: str = "text"
    template: str | None = None
    labels_field: str = ""
    max_unpacked_bytes: int = 1 << 30
    max_member_bytes: int = 64 << 20
    max_members: int = 100_000
    ocr: RecognitionModels | None = None
    ocr_confidence: float = 0.8


@dataclass(frozen=True)
class Record:
    """One document.

    Attributes:
        text: what it says; empty for a picture or a recording, which is all in its metadata and its file.
        bytes: how many of the file's bytes it takes up.
        anchor: where in the file it stands, such as `#L12`; empty when it is the whole file.
        metadata: what else the file says of it, as `metadata_json` writes it.
        pages: number, from 1, of each page (slide, sheet, chapter) and the character of `text` at which it begins.
        start: the first of its bytes in the file.
        media_type, language: of the record, where they differ from the file's.
        labels: access labels that the file itself gives it.
    """

    text: str
    bytes: int
    anchor: str = ""
    metadata: str = "{}"
    pages: tuple[tuple[int, int], ...] = ()
    start: int = 0
    media_type: str = ""
    language: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    """A part of a file that is no document, and why; `bytes` and `anchor` as for a record."""

    reason: str
    detail: str
    bytes: int
    anchor: str = ""


@dataclass(frozen=True)
class Member:
    """A file inside a file, such as an attachment: to be read as a file of its own, under `outer!/name`.

    `modified` is its modification time in seconds since 1970; 0 when that is not known.
    """

    name: str
    data: bytes
    modified: float = 0.0


Reader = Callable[[bytes, ReadingRules], Iterator[Record | Refused | Member]]
"""All records of a file, in order; their bytes add up to the file's. A file that holds other files gives them too.

It may raise `decoding.UndecodableError`, before its first record, when the whole file is no text.
"""


def metadata_json(metadata: Mapping[str, Any]) -> str:
    """JSON with sorted keys, no white space and ASCII alone: equal metadata gives equal text.

    Not RFC 8785, which has no way to write the integers beyond 2**53 that people's records hold.
    """
    return json.dumps(metadata, sort_keys=True, separators=(",", ":"), allow_nan=False)
