"""What a recording is kept in, and whether its file has an end: the outermost structure of WAV, FLAC, OGG, MP4, MP3."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_WAVE_CODECS = {1: "pcm", 2: "adpcm", 3: "float", 6: "alaw", 7: "mulaw", 0x11: "adpcm", 0x55: "mp3", 0xFFFE: "pcm"}
_OGG_CODECS = ((b"\x01vorbis", "vorbis"), (b"OpusHead", "opus"), (b"\x7fFLAC", "flac"), (b"Speex  ", "speex"))
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # of a recording that was written as it came


@dataclass(frozen=True)
class AudioContainer:
    """`is_whole` is whether all is there that the file says it has; MP3 does not say, and counts as whole."""

    media_type: str
    codec: str
    is_whole: bool


def container_of(data: bytes) -> AudioContainer | None:
    """The container by its signature; None when it is none of them."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return _wave(data)
    if data.startswith(b"fLaC"):
        return AudioContainer("audio/flac", "flac", _flac_has_frames(data))
    if data.startswith(b"OggS"):
        codec = next((codec for mark, codec in _OGG_CODECS if mark in data[:4096]), "unknown")
        return AudioContainer("audio/ogg", codec, _ogg_is_whole(data))
    if data[4:8] == b"ftyp":
        codec = "alac" if b"alac" in data else "aac" if b"mp4a" in data else "unknown"
        return AudioContainer("audio/mp4", codec, _mp4_is_whole(data))
    if data.startswith(b"ID3") or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0):
        return AudioContainer("audio/mpeg", "mp3", True)
    return None


def _wave(data: bytes) -> AudioContainer:
    at, codec, whole = 12, "unknown", False
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind == b"fmt " and at + 10 <= len(data):
            code = struct.unpack_from("<H", data, at + 8)[0]
            codec = _WAVE_CODECS.get(code, f"format {code}")
        if kind == b"data":
            whole = size in _UNKNOWN_SIZES or at + 8 + size <= len(data)
            break
        at += 8 + size + size % 2
    return AudioContainer("audio/wav", codec, whole)


def _flac_has_frames(data: bytes) -> bool:
    at, last = 4, False
    while not last and at + 4 <= len(data):
        last = bool(data[at] & 0x80)
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    return last and len(data) > at + 2 and data[at] == 0xFF and data[at + 1] & 0xFC == 0xF8


def _ogg_is_whole(data: bytes) -> bool:
    at = 0
    while data[at : at + 4] == b"OggS" and at + 27 <= len(data):
        segments = data[at + 27 : at + 27 + data[at + 26]]
        at += 27 + data[at + 26] + sum(segments)
    return at == len(data) or (at < len(data) and not data[at:].strip(b"\0"))


def _mp4_is_whole(data: bytes) -> bool:
    at = 0
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size == 0:  # to the end
            return True
        if size < 8:
            return False
        at += size
    return at == len(data)
