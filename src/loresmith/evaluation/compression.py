"""What a general-purpose compressor needs for the same text: xz at its best, with and without the training text.

A language model that has learnt something of its domain says a byte in fewer bits than a compressor that sees only the
held-out text. One that has learnt most of what the training text has to give comes near a compressor that has all of
it at hand; what the held-out text then adds is size(training + held-out) - size(training).
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable

PRESET = 9 | lzma.PRESET_EXTREME
SMALLEST_DICTIONARY = 1 << 26
"""64 MiB: the dictionary of `xz -9`."""
LARGEST_DICTIONARY = 1536 << 20
"""1.5 GiB: the largest that the encoder takes."""


def dictionary_size(text_bytes: int) -> int:
    """The LZMA2 dictionary for a text: that of `xz -9`, or the next power of two that holds all of it.

    Every earlier byte of the text stays in reach, so that nothing of the training text is forgotten. The encoder needs
    about eleven times as much memory.

    Raises:
        ValueError: the text is larger than the largest dictionary.
    """
    if text_bytes > LARGEST_DICTIONARY:
        raise ValueError(f"{text_bytes} bytes of text; xz looks back {LARGEST_DICTIONARY} bytes at most")
    return min(LARGEST_DICTIONARY, max(SMALLEST_DICTIONARY, 1 << (text_bytes - 1).bit_length()))


def xz_bytes(pieces: Iterable[bytes], text_bytes: int) -> int:
    """Size of the pieces, end to end, as `xz -9e` writes them (`xz --lzma2=preset=9e,dict=...` beyond 64 MiB).

    Args:
        pieces: the text.
        text_bytes: how long the pieces are together, which decides the dictionary.

    The work is done without Python's lock. The size depends on the text and the version of liblzma alone.
    """
    filters = [{"id": lzma.FILTER_LZMA2, "preset": PRESET, "dict_size": dictionary_size(text_bytes)}]
    compressor = lzma.LZMACompressor(lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, filters=filters)
    size = sum(len(compressor.compress(piece)) for piece in pieces)
    return size + len(compressor.flush())
