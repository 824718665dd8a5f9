"""Documents that are zip files with XML in them: their parts by name, unpacked within the rules' limits."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from itertools import islice

from loresmith.data.readers.record import ReadingRules
from loresmith.data.readers.refusal import NoDocumentError
from loresmith.data.readers.unpacking import Allowance, DamagedError, TooMuchError, inflate
from loresmith.data.readers.xml_events import XmlEvents, parse_xml
from loresmith.data.readers.zip_directory import ZipEntry, central_directory, data_of


class ZipPackage:
    """The parts of a document. Names are found in any case, with or without a slash before them.

    All its methods raise NoDocumentError where a part is damaged or is more than the rules allow.
    """

    def __init__(self, data: bytes, rules: ReadingRules) -> None:
        self._data = data
        self._allowance = Allowance(rules)
        try:
            entries = list(islice(central_directory(data), rules.max_members + 1))
        except DamagedError as error:
            raise NoDocumentError("damaged", str(error)) from None
        if len(entries) > rules.max_members:
            raise NoDocumentError("unpacks to too much", f"more than {rules.max_members} parts; see max_members")
        if any(entry.encrypted for entry in entries):
            raise NoDocumentError("encrypted", "its parts need a password")
        self._entries = {_key(entry.name): entry for entry in entries}
        self.names = [entry.name for entry in entries]

    def __contains__(self, name: str) -> bool:
        return _key(name) in self._entries

    def read(self, name: str) -> bytes:
        """All bytes of a part."""
        return b"".join(self.pieces(name))

    def parse(self, name: str, events: XmlEvents, prefixes: Mapping[str, str]) -> None:
        """Tell the events of an XML part."""
        parse_xml(self.pieces(name), events, prefixes)

    def pieces(self, name: str) -> Iterator[bytes]:
        """The bytes of a part, as they are unpacked."""
        entry = self._entries.get(_key(name))
        if entry is None:
            raise NoDocumentError("damaged", "a part that it speaks of is missing")
        checksum = 0
        try:
            for piece in _unpacked(self._data, entry):
                self._allowance.count(len(piece))
                checksum = zlib.crc32(piece, checksum)
                yield piece
        except DamagedError as error:
            raise NoDocumentError("damaged", f"part {self.names.index(entry.name) + 1}: {error}") from None
        except TooMuchError as error:
            raise NoDocumentError("unpacks to too much", str(error)) from None
        if checksum != entry.crc:
            raise NoDocumentError("damaged", f"the checksum of part {self.names.index(entry.name) + 1} is wrong")


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


def _unpacked(data: bytes, entry: ZipEntry) -> Iterator[bytes]:
    start, end = data_of(data, entry)
    packed = memoryview(data)[start:end]
    if entry.method == 8:
        yield from inflate(packed)
    elif entry.method == 0:
        yield bytes(packed)
    else:
        raise DamagedError(f"it is packed by method {entry.method}, which documents do not use")
