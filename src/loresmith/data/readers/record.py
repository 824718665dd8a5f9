"""What a reader finds in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ReadingRules:
    """What a recipe says about reading: `encodings` as `decoding` uses them, and the field of a JSON record."""

    encodings: tuple[str, ...] = ("utf-8",)
    text_field: str = "text"


@dataclass(frozen=True)
class Record:
    """One document.

    Attributes:
        text: what it says.
        bytes: how many of the file's bytes it takes up.
        anchor: where in the file it stands, such as `#L12`; empty when it is the whole file.
        metadata: what else the file says of it, as `metadata_json` writes it.
    """

    text: str
    bytes: int
    anchor: str = ""
    metadata: str = "{}"


@dataclass(frozen=True)
class Refused:
    """A part of a file that is no document, and why; `bytes` and `anchor` as for a record."""

    reason: str
    detail: str
    bytes: int
    anchor: str = ""


Reader = Callable[[bytes, ReadingRules], Iterator[Record | Refused]]
"""All records of a file, in order; their bytes add up to the file's.

It may raise `decoding.UndecodableError`, before its first record, when the whole file is no text.
"""


def metadata_json(metadata: Mapping[str, Any]) -> str:
    """JSON with sorted keys, no white space and ASCII alone: equal metadata gives equal text.

    Not RFC 8785, which has no way to write the integers beyond 2**53 that people's records hold.
    """
    return json.dumps(metadata, sort_keys=True, separators=(",", ":"), allow_nan=False)
