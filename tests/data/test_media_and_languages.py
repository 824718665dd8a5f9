"""Pictures and recordings by what they say of themselves; source code by name and content; texts in any encoding."""

from __future__ import annotations

import io
import json
import random
import struct
import time
import wave
import zlib
from itertools import pairwise
from typing import Any

import PIL.Image
import pytest

from benchmarks.encodings import cases
from loresmith.data.byte_places import BytePlaces
from loresmith.data.decoding import LEAST_CONFIDENCE, UndecodableError, decode_file
from loresmith.data.encoding_guess import guess_encoding
from loresmith.data.file_types import file_type
from loresmith.data.readers.audio import read_audio
from loresmith.data.readers.image import read_image
from loresmith.data.readers.record import ReadingRules, Record, Refused
from loresmith.data.readers.source_language import source_language
from loresmith.data.readers.text import read_text

RULES = ReadingRules()


def picture(form: str, **options: Any) -> bytes:
    pixels = random.Random(0).randbytes(60 * 40 * 3)
    made = io.BytesIO()
    PIL.Image.frombytes("RGB", (60, 40), pixels).save(made, form, **options)
    return made.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_picture_says_its_size_and_one_cut_short_is_refused(form: str) -> None:
    data = picture(form)
    kind = file_type(f"x.{form.lower()}", data)
    (record,) = kind.read(data, RULES)
    assert isinstance(record, Record)
    assert (record.text, record.media_type) == ("", f"image/{form.lower()}")
    metadata = json.loads(record.metadata)
    assert {name: metadata[name] for name in ("width", "height", "format", "frames")} == {
        "width": 60,
        "height": 40,
        "format": form,
        "frames": 1,
    }
    for end in (20, len(data) // 2, len(data) - 300):
        (refused,) = read_image(data[:end], RULES)
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.bytes) == ("damaged", end)


def test_a_photograph_says_when_but_not_where() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x0132] = 6, "2026:01:02 03:04:05"
    exif.get_ifd(0x8825).update({1: "N", 2: (50.0, 1.0, 2.0)})
    (record,) = read_image(picture("JPEG", exif=exif), RULES)
    assert isinstance(record, Record)
    metadata = json.loads(record.metadata)
    assert (metadata["taken"], metadata["orientation"]) == ("2026-01-02T03:04:05", 6)
    assert "50" not in record.metadata.replace("2026-01-02T03:04:05", "")


def test_frames_are_counted() -> None:
    frames = [PIL.Image.new("L", (5, 5), shade) for shade in (0, 100, 200)]
    made = io.BytesIO()
    frames[0].save(made, "GIF", save_all=True, append_images=frames[1:])
    (record,) = read_image(made.getvalue(), RULES)
    assert isinstance(record, Record)
    assert json.loads(record.metadata)["frames"] == 3


@pytest.mark.parametrize("size", [(12_000, 9_000), (60_000, 60_000)])
def test_a_picture_of_too_many_pixels_is_not_decoded(size: tuple[int, int]) -> None:
    header = struct.pack(">II5B", *size, 1, 0, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    started = time.process_time()
    (refused,) = read_image(data, RULES)
    assert isinstance(refused, Refused)
    assert refused.reason == "too large"
    assert time.process_time() - started < 1


def recording(seconds: float = 1.0) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(int(64_000 * seconds)))
    return made.getvalue()


FLAC = (
    b"fLaC\x80\0\0\x22" + struct.pack(">HH", 4096, 4096) + bytes(6)
    + ((44_100 << 44) | (1 << 41) | (15 << 36) | 88_200).to_bytes(8, "big") + bytes(16) + b"\xff\xf8" + bytes(50)
)  # fmt: skip
MP3 = (b"\xff\xfb\x90\x00" + bytes(413)) * 200


def _page(kind: int, granule: int, number: int, packet: bytes) -> bytes:
    lengths = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    return struct.pack("<4sBBqIIIB", b"OggS", 0, kind, granule, 7, number, 0, len(lengths)) + lengths + packet


def _box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I", 8 + sum(map(len, parts))) + kind + b"".join(parts)


_NOBODY = struct.pack("<I", 1) + b"x" + struct.pack("<I", 0)  # a comment's writer, and no comments
OPUS = (
    _page(2, 0, 0, b"OpusHead" + struct.pack("<BBHIhB", 1, 2, 312, 48_000, 0, 0))
    + _page(0, 0, 1, b"OpusTags" + _NOBODY)
    + _page(4, 96_312, 2, bytes(300))
)
VORBIS = (
    _page(2, 0, 0, b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, 1, 22_050, 0, 64_000, 0, 0xB8, 1))
    + _page(0, 0, 1, b"\x03vorbis" + _NOBODY + b"\1")
    + _page(4, 44_100, 2, bytes(300))
)
_DECODER = b"\x04\x11\x40\x15" + bytes(3) + struct.pack(">II", 128_000, 128_000) + b"\x05\x02\x12\x10"
_ENTRY = _box(
    b"mp4a",
    bytes(6) + struct.pack(">H8xHHHHI", 1, 2, 16, 0, 0, 44_100 << 16),
    _box(b"esds", bytes(4), b"\x03\x19\0\1\0" + _DECODER + b"\x06\x01\x02"),
)
_TABLE = _box(b"minf", _box(b"stbl", _box(b"stsd", struct.pack(">II", 0, 1), _ENTRY)))
_MEDIA = _box(b"mdia", _box(b"mdhd", bytes(12), struct.pack(">IIHH", 44_100, 132_300, 0, 0)), _TABLE)
_MOVIE = _box(b"moov", _box(b"mvhd", bytes(12), struct.pack(">II", 1000, 3000), bytes(80)), _box(b"trak", _MEDIA))
M4A = _box(b"ftyp", b"M4A \0\0\0\0M4A mp42") + _MOVIE + _box(b"mdat", bytes(100))


def test_a_recording_says_how_long_it_is() -> None:
    for data, name, expected in (
        (recording(), "x.wav", {"seconds": 1.0, "sample_rate": 16_000, "channels": 2, "bits": 16, "codec": "pcm"}),
        (FLAC, "x.flac", {"seconds": 2.0, "sample_rate": 44_100, "channels": 2, "bits": 16, "codec": "flac"}),
        (OPUS, "x.opus", {"seconds": 2.0, "sample_rate": 48_000, "channels": 2, "codec": "opus"}),
        (VORBIS, "x.ogg", {"seconds": 2.0, "sample_rate": 22_050, "channels": 1, "codec": "vorbis"}),
        (M4A, "x.m4a", {"seconds": 3.0, "sample_rate": 44_100, "channels": 2, "codec": "aac"}),
        (MP3, "x.mp3", {"seconds": 5.224, "sample_rate": 44_100, "channels": 2, "codec": "mp3"}),
    ):
        (record,) = file_type(name, data).read(data, RULES)
        assert isinstance(record, Record), record
        assert record.text == ""
        assert record.media_type.startswith("audio/")
        assert json.loads(record.metadata) == expected


def test_a_recording_cut_short_is_refused() -> None:
    whole = (recording()[:40_000], recording()[:30], FLAC[:42], OPUS[:-9], VORBIS[:-200], M4A[:-9], M4A[:60])
    for data in (*whole, b"OggS" + bytes(60), b"ID3\x03" + bytes(40), b""):
        (refused,) = read_audio(data, RULES)
        assert isinstance(refused, Refused)
        assert refused.reason == "damaged"


SOURCES = {
    "x.h": [
        ("int f(void);\n", "c"),
        ("class A {\npublic:\n};\n", "c++"),
        ("#import <A.h>\n@interface B\n@end\n", "objective-c"),
    ],
    "x.m": [
        ("@implementation A\n", "objective-c"),
        ("% area\nfunction a = f(r)\n", "matlab"),
        ("(* :Title: *)\n", "mathematica"),
    ],
    "x.pl": [("use strict;\nmy $x = 1;\n", "perl"), (":- module(a, [b/1]).\nb(X) :- c(X).\n", "prolog"), ("", "perl")],
    "x.ts": [
        ("const x: number = 1\n", "typescript"),
        ('<?xml version="1.0"?><!DOCTYPE TS>', "xml"),
        ("G" + "\0" * 187 + "G", ""),
    ],
    "x.v": [("module a(input b);\nendmodule\n", "verilog"), ("Theorem a : True.\nProof.\nQed.\n", "coq")],
    "x.cls": [
        ("\\ProvidesClass{a}\n", "tex"),
        ("VERSION 1.0 CLASS\n", "visual-basic"),
        ("public with sharing class A {\n", "apex"),
    ],
    "x.st": [("PROGRAM a\nVAR\nEND_VAR\n", "structured-text"), ("Object subclass: #A\n", "smalltalk")],
    "x.d": [("void main() {}\n", "d"), ("a.o: a.c b.h\n", "make")],
    "run": [
        ("#!/bin/sh\n", "shell"),
        ("#!/usr/bin/env python3.11\n", "python"),
        ("#!/usr/bin/env -S PATH=x node --flag\n", "javascript"),
        ("#! /usr/local/bin/perl -w\n", "perl"),
        ("# -*- mode: ruby; tab: 2 -*-\n", "ruby"),
        ("// -*- C++ -*-\n", "c++"),
        ("x\n# vim: set ft=lua :\n", "lua"),
        ("<?php echo 1;\n", "php"),
        ("plain words\n", ""),
        ("#!/opt/unknown\n", ""),
    ],
    "Makefile": [("all:\n", "make")],
    "x.py": [("#!/bin/sh\n", "python")],
    "x.txt": [("#!/bin/sh\n", "")],
    "CMakeLists.txt": [("", "cmake")],
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_language_is_told_by_name_and_content(name: str) -> None:
    for text, language in SOURCES[name]:
        assert source_language(f"folder/{name}", text.encode("latin-1")) == language, text


@pytest.mark.parametrize("unit", ["-*-", "vi:", "a(", "#!", " ", "@", "class ", "x = ", "use a", ":-"])
def test_hostile_heads_take_no_time(unit: str) -> None:
    started = time.process_time()
    for name in ("x.h", "x.m", "x.pl", "x.v", "x.cls", "run"):
        source_language(name, (unit * 8192)[:8192].encode())
    assert time.process_time() - started < 2


AUTO = ReadingRules(("utf-8", "auto"))


def test_texts_in_a_dozen_encodings_are_guessed() -> None:
    """The set of benchmarks/encodings.py; what is guessed wrongly must be rare, short and doubted."""
    wrong = []
    for encoding, text, length, data in cases():
        try:
            (record,) = read_text(data, AUTO)
        except UndecodableError:
            wrong.append((encoding, length))
            continue
        if record.text != text:
            wrong.append((encoding, length))
            assert json.loads(record.metadata)["encoding_confidence"] < 0.2
    assert len(wrong) <= 2
    assert all(length == 40 for _, length in wrong)


def test_a_guess_is_made_only_where_one_is_asked_for_and_said() -> None:
    data = ("Все люди рождаются свободными и равными в своём достоинстве и правах. " * 3).encode("koi8-r")
    with pytest.raises(UndecodableError):
        list(read_text(data, RULES))
    (record,) = read_text(data, AUTO)
    assert record.text.startswith("Все люди")
    metadata = json.loads(record.metadata)
    assert metadata["encoding"] == "koi8-r"
    assert metadata["encoding_confidence"] >= LEAST_CONFIDENCE
    (certain,) = read_text("ü".encode(), AUTO)
    assert certain.metadata == "{}"


def test_utf16_without_a_mark_is_never_read_as_anything_else() -> None:
    for codec in ("utf-16-le", "utf-16-be"):
        data = "plain words\n".encode(codec)
        assert file_type("x.txt", data).media_type == "text/plain"
        with pytest.raises(UndecodableError, match=codec):
            list(read_text(data, ReadingRules(("utf-8", "latin-1"))))
        assert decode_file(data, ["utf-8", codec]).text == "plain words\n"
        assert decode_file(data, ["utf-8", "auto"]).text == "plain words\n"


def test_utf16_without_a_mark_that_ends_in_half_a_pair_is_refused() -> None:
    for codec, half in (("utf-16-le", b"\x00\xd8"), ("utf-16-be", b"\xd8\x00")):
        data = "plain words\n".encode(codec) * 9 + half
        for encodings in (("utf-8", "auto"), ("utf-8", codec)):
            with pytest.raises(UndecodableError, match=codec):
                decode_file(data, encodings)


def test_what_is_no_text_is_not_guessed_to_be_one() -> None:
    noise = random.Random(1)
    for size in (50, 500, 5001, 50_000):
        assert guess_encoding(noise.randbytes(size)) is None
        with pytest.raises(UndecodableError):
            decode_file(bytes(noise.randrange(128, 256) for _ in range(size)), ["utf-8", "auto"])


@pytest.mark.parametrize(
    "data", [b"\xff\n" + b"a" * 300_000, b"\xff\n" * 500_000, b"\xe9" * 3_000_000, b"a\0" * 500_000]
)
def test_guessing_takes_no_longer_for_long_texts(data: bytes) -> None:
    started = time.process_time()
    guess_encoding(data)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "shift_jis", "utf-32"])
def test_characters_are_found_in_the_bytes_they_come_from(encoding: str) -> None:
    text = "café\r\nnaïve\n" if encoding == "cp1252" else "日本語\nab\n"
    data = text.encode(encoding)
    decoded = decode_file(data, ["utf-8", encoding])
    places = BytePlaces(decoded, len(data))
    assert places.exact
    starts = [places.at(index) for index in range(len(text) + 1)]
    assert starts[-1] == len(data)
    for letter, (start, end) in zip(text, pairwise(starts), strict=True):
        assert data[start:end].decode(decoded.encoding) == letter
