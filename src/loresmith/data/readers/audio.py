"""Recordings, as media documents: no text, and what the file says of them as metadata."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

from loresmith.data.readers.audio_container import container_of
from loresmith.data.readers.complaint import complaint
from loresmith.data.readers.record import ReadingRules, Record, Refused, metadata_json

_DAMAGE = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, struct.error)
_MORE_DAMAGE = (ZeroDivisionError, AttributeError, MemoryError, RecursionError, AssertionError)


def read_audio(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """One record without text: seconds, sample rate, channels, bits of a sample where the format has them, and codec.

    WAV, FLAC, MP3, OGG (Vorbis, Opus, FLAC, Speex) and M4A. Without a length or a sample rate it is damaged.
    """
    from tinytag import TinyTag, TinyTagException

    try:
        found = TinyTag.get(None, file_obj=io.BytesIO(data), image=False)
    except TinyTagException as error:
        yield Refused("damaged", f"no recording of a format that is known here ({complaint(error)})", len(data))
        return
    except (*_DAMAGE, *_MORE_DAMAGE) as error:
        yield Refused("damaged", complaint(error), len(data))
        return
    container = container_of(data)
    if container is None or not found.duration or found.duration <= 0 or not found.samplerate:
        yield Refused("damaged", "no recording in it", len(data))
        return
    if not container.is_whole:
        yield Refused("damaged", "it ends in the middle", len(data))
        return
    metadata: dict[str, Any] = {
        "seconds": round(found.duration, 3),
        "sample_rate": found.samplerate,
        "channels": found.channels,
        "bits": found.bitdepth,
        "codec": container.codec,
        "title": found.title,
        "artist": found.artist,
        "album": found.album,
    }
    known = {name: value for name, value in metadata.items() if value not in (None, "")}
    yield Record("", len(data), metadata=metadata_json(known), media_type=container.media_type)
