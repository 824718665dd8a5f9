"""RTF as Outlook packs it ([MS-OXRTFCP])."""

from __future__ import annotations

import struct

_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript "
    b"\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier"
    b"{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u"
    b"\\tab\\tx"
)
_WINDOW = 4096


def unpack_rtf(packed: bytes) -> bytes:
    """LZ77 over a window of 4,096 bytes that begins with what RTF begins with; a stream cut short gives what is there.

    Raises:
        ValueError: it is packed in another way.
    """
    if len(packed) < 16:
        raise ValueError("compressed RTF without a header")
    _, raw_size, kind = struct.unpack_from("<II4s", packed)
    if kind == b"MELA":
        return packed[16 : 16 + raw_size]
    if kind != b"LZFu":
        raise ValueError("compressed RTF of an unknown kind")
    window = bytearray(_DICTIONARY.ljust(_WINDOW, b"\0"))
    write, at = len(_DICTIONARY), 16
    unpacked = bytearray()
    while at < len(packed):
        control = packed[at]
        at += 1
        for bit in range(8):
            if control >> bit & 1:
                if at + 2 > len(packed):
                    return bytes(unpacked)
                token = packed[at] << 8 | packed[at + 1]
                at += 2
                offset, length = token >> 4, (token & 15) + 2
                if offset == write:
                    return bytes(unpacked)
                piece = bytearray()
                for step in range(length):
                    letter = window[(offset + step) % _WINDOW]
                    piece.append(letter)
                    window[write] = letter
                    write = (write + 1) % _WINDOW
            else:
                piece = bytearray(packed[at : at + 1])
                at += 1
                if piece:
                    window[write] = piece[0]
                    write = (write + 1) % _WINDOW
            unpacked += piece
    return bytes(unpacked)
