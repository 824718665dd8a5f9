"""What documents say, where the table that they stood in is gone: from what is remembered of reading their files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from loresmith.data.document_row import document_id
from loresmith.data.readers.member_names import member_path
from loresmith.data.readers.record import Record
from loresmith.data.reading.memory import remembered


class RememberedText(NamedTuple):
    """A document's id, its path, and what it said in one of the ways in which its file was read."""

    id: str
    path: str
    text: str


def remembered_texts(caches: Path, sha256: str, file: str) -> Iterator[RememberedText]:
    """The documents in a file, and in the files in it.

    Args:
        caches: the folder with the caches of all steps.
        sha256: of the file.
        file: its path.
    """
    for extraction in remembered(caches, sha256):
        for record in extraction.records():
            if isinstance(record, Record):
                path = file + record.anchor
                yield RememberedText(document_id(path, sha256), path, record.text)
        for member in extraction.members:
            yield from remembered_texts(caches, member.sha256, member_path(file, member.name))
