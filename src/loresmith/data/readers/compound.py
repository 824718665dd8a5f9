"""Compound files ([MS-CFB]): Office documents from before 2007, and encrypted ones of any year. None of them is read.

What they are is said by name, so that whoever has the program can save them as what is read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from loresmith.data.readers.complaint import complaint
from loresmith.data.readers.record import ReadingRules, Refused

if TYPE_CHECKING:
    import olefile

_DAMAGE = (OSError, struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError, RecursionError, EOFError)
_ENCRYPTED = {"EncryptedPackage", "EncryptedSummary", "EncryptionInfo"}
_KINDS = {  # stream, what it is, what it can be saved as
    "WordDocument": ("a Word document from before 2007 (.doc)", ".docx"),
    "Workbook": ("an Excel workbook from before 2007 (.xls)", ".xlsx"),
    "Book": ("an Excel workbook from before 1997 (.xls)", ".xlsx"),
    "PowerPoint Document": ("a PowerPoint presentation from before 2007 (.ppt)", ".pptx"),
}
_FILE_PASS = 0x2F  # [MS-XLS] 2.4.117


def read_compound(data: bytes, rules: ReadingRules) -> Iterator[Refused]:
    """The file, refused: as "encrypted", or as "unsupported" with what it is."""
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(data), raise_defects=olefile.DEFECT_FATAL) as file:
            refused = _refused(file, len(data))
    except _DAMAGE as error:
        refused = Refused("damaged", complaint(error), len(data))
    yield refused


def _refused(file: olefile.OleFileIO, size: int) -> Refused:
    names = {path[0] for path in file.listdir() if len(path) == 1}
    if names & _ENCRYPTED:
        return Refused("encrypted", "an Office document with a password", size)
    for name, (kind, better) in _KINDS.items():
        if name in names:
            if _needs_password(name, file.openstream(name).read(4096)):
                return Refused("encrypted", f"{kind} with a password", size)
            return Refused("unsupported", f"{kind}; saved as {better} it can be read", size)
    return Refused("unsupported", "a compound file of an unknown program", size)


def _needs_password(name: str, head: bytes) -> bool:
    if name == "WordDocument":  # [MS-DOC] 2.5.2: fEncrypted
        return bool(struct.unpack_from("<H", head, 10)[0] & 1 << 8)
    if name in ("Workbook", "Book"):
        position = 0
        while position + 4 <= len(head):
            kind, length = struct.unpack_from("<2H", head, position)
            if kind == _FILE_PASS:
                return True
            position += 4 + length
    return False
