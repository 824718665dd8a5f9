"""The lines of a file of conversations: each is a record, or named with the reason why it is none."""

from __future__ import annotations

import codecs
import hashlib
import io
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from loresmith.data.document_row import document_id
from loresmith.data.messages import BadRecordError, Conversation
from loresmith.data.messages_shapes import parse_record
from loresmith.data.messages_tables import media_type_of, table_lines


@dataclass(frozen=True)
class MessageLine:
    """A line of a file and what it holds; None where it is blank. A file that cannot be read counts as its line 0."""

    path: str
    number: int
    digest: str
    bytes: int
    found: Conversation | BadRecordError | None

    @property
    def anchor(self) -> str:
        return f"{self.path}#L{self.number}" if self.number else self.path

    @property
    def where(self) -> str:
        return f"{self.path}:{self.number}" if self.number else self.path

    @property
    def id(self) -> str:
        return document_id(self.anchor, self.digest)

    def is_erased(self, erased: AbstractSet[str]) -> bool:
        """Whether it, or one that says the same, was once erased."""
        if not erased:
            return False
        return self.id in erased or (isinstance(self.found, Conversation) and content_digest(self.found) in erased)

    def packed(self) -> list[Any]:
        """As JSON has it, for `unpacked`."""
        if isinstance(self.found, Conversation):
            found: Any = vars(self.found)
        else:
            found = None if self.found is None else [self.found.reason, str(self.found)]
        return [self.number, self.digest, self.bytes, found]

    @classmethod
    def unpacked(cls, path: str, packed: list[Any]) -> MessageLine:
        number, digest, size, said = packed
        found: Conversation | BadRecordError | None = None
        if isinstance(said, dict):
            found = Conversation(**said)
        elif said is not None:
            found = BadRecordError(*said)
        return cls(path, number, digest, size, found)


def content_digest(found: Conversation) -> str:
    """Equal for conversations of which nobody could tell two apart."""
    return hashlib.sha256(found.content().encode()).hexdigest()


def message_lines(data: bytes, path: str, metadata_fields: Collection[str]) -> Iterator[MessageLine]:
    """The lines of JSON, or the rows of a table, that a file holds; their bytes add up to the file's."""
    if not data:
        yield MessageLine(path, 0, "", 0, BadRecordError("empty", "there is nothing in it"))
    number = read = 0
    try:
        for number, (line, size) in enumerate(_sized_lines(data, path), start=1):
            read += size
            text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            found: Conversation | BadRecordError | None = None
            if text.strip():
                try:
                    found = parse_record(text, metadata_fields)
                except BadRecordError as error:
                    found = error
            yield MessageLine(path, number, hashlib.sha256(line).hexdigest(), size, found)
    except BadRecordError as error:  # of the table, not of one of its rows
        yield MessageLine(path, number + 1, "", len(data) - read, error)
    else:
        if read < len(data):  # only a table may have less in it than it says
            reason = ("damaged", "rows are missing") if number else ("empty", "it has no rows")
            yield MessageLine(path, number + 1, "", len(data) - read, BadRecordError(*reason))


def _sized_lines(data: bytes, path: str) -> Iterator[tuple[bytes, int]]:
    """Lines of JSON, and how many of the file's bytes each takes up."""
    media_type = media_type_of(path, data)
    if media_type:
        yield from table_lines(media_type, data)
    else:
        yield from ((line, len(line)) for line in io.BytesIO(data))
