"""Damaged on purpose: whatever a file holds, its reader gives records, members and refusals, soon, and nothing else."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import resource
import time
import warnings
from collections.abc import Callable

import PIL.Image
import pyarrow as pa
import pyarrow.parquet
import pytest

from loresmith.data.decoding import UndecodableError
from loresmith.data.file_types import file_type
from loresmith.data.readers.record import Member, ReadingRules, Record, Refused
from tests.data.archive_files import DELTA, LZMA2, X86, seven_zipped, tarred, zipped
from tests.data.mail_files import compound_file, mail, outlook_message
from tests.data.test_arrow import written
from tests.data.test_media_and_languages import FLAC, M4A, MP3, OPUS, VORBIS, recording
from tests.data.test_structured_records import as_csv, as_parquet, as_sqlite, faults_in_sqlite

MUTATIONS = 40
SECONDS = 5.0  # of one file; most take a millisecond
MEMORY = 1 << 29
RULES = ReadingRules(("utf-8", "auto"), max_unpacked_bytes=1 << 24, max_member_bytes=1 << 23, max_members=1000)

_FILES = {"a.txt": b"first\n" * 50, "folder/b.md": b"# second\n" * 9, "c": bytes(range(256))}
_RECORDS = [{"code": f"E{number}", "text": "It leaks.\nOften, ünd"} for number in range(30)]


def _attached() -> bytes:
    message = mail(text="Hello\n\nOn Monday, Bob wrote:\n> why\n-- \nAda\n")
    message.add_alternative("<p>Hello</p>", subtype="html")
    message.add_attachment(b"%PDF-1.4" * 9, maintype="application", subtype="pdf", filename="ü.pdf")
    for number, part in enumerate(message.walk()):
        if part.is_multipart():
            part.set_boundary(f"----{number}----")  # else it would be another one in every run
    return message.as_bytes()


def _picture(form: str) -> bytes:
    made = io.BytesIO()
    PIL.Image.frombytes("RGB", (20, 20), random.Random(0).randbytes(1200)).save(made, form)
    return made.getvalue()


def _times(form: str) -> bytes:
    """Uncompressed, so that a damaged byte is a damaged time."""
    kinds = [pa.timestamp("ns"), pa.timestamp("s", "Europe/Berlin"), pa.date32(), pa.time64("ns"), pa.duration("s")]
    values = [[number * 10**9 + number for number in range(1, 30)]] + [list(range(1, 30))] * 4
    table = pa.table({str(kind): pa.array(held, kind) for kind, held in zip(kinds, values, strict=True)})
    if form == "arrow":
        return written(table)
    made = io.BytesIO()
    pyarrow.parquet.write_table(table, made, compression="none", use_dictionary=False)
    return made.getvalue()


SEEDS: dict[str, bytes] = {
    "a.zip": zipped(_FILES),
    "lzma.zip": zipped(_FILES, 14),
    "a.tar": tarred(_FILES),
    "a.tar.gz": gzip.compress(tarred(_FILES), mtime=0),
    "a.tar.xz": lzma.compress(tarred(_FILES)),
    "a.bz2": bz2.compress(_FILES["a.txt"]),
    "a.zst": bytes(pa.compress(_FILES["a.txt"], "zstd", asbytes=True)),
    "a.7z": seven_zipped(_FILES, LZMA2, X86, pack_header=True),
    "b.7z": seven_zipped(_FILES, LZMA2, DELTA),
    "a.eml": _attached(),
    "a.mbox": (b"From a@x Mon Nov  2 10:00:00 2026\n" + _attached() + b"\n") * 3,
    "a.msg": compound_file(
        outlook_message({0x37: "Pump", 0x1000: "text"}, {0x1009: b"LZFu" * 9}, {"x.csv": b"1,2\n" * 9})
    ),
    "a.csv": as_csv(_RECORDS),
    "a.tsv": b"a\tb\n1\t2\n" * 20,
    "a.json": json.dumps(_RECORDS).encode(),
    "a.jsonl": "\n".join(map(json.dumps, _RECORDS)).encode(),
    "a.parquet": as_parquet(_RECORDS),
    "a.sqlite": faults_in_sqlite(_RECORDS),
    "searched.sqlite": as_sqlite(
        "CREATE TABLE t (note); CREATE VIRTUAL TABLE found USING fts5(note);",
        ("INSERT INTO found VALUES (?)", [(f"note {number}",) for number in range(30)]),
    ),
    **{f"times.{form}": _times(form) for form in ("parquet", "arrow")},
    **{f"a.{form.lower()}": _picture(form) for form in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")},
    "a.wav": recording(0.01),
    "a.flac": FLAC,
    "a.ogg": VORBIS,
    "a.opus": OPUS,
    "a.m4a": M4A,
    "a.mp3": MP3[:4170],
    "a.txt": "Все люди рождаются свободными\n".encode("koi8-r") * 9,
    "u.txt": "plain words\n".encode("utf-16-le") * 9,
    "a.py": b"# -*- coding: latin-1 -*-\nx = '\xe9'\n" * 9,
}


def _flip(data: bytearray, noise: random.Random) -> None:
    for _ in range(noise.choice((1, 3, 20))):
        data[noise.randrange(len(data))] ^= 1 << noise.randrange(8)


def _truncate(data: bytearray, noise: random.Random) -> None:
    del data[noise.randrange(len(data)) :]


def _overwrite(data: bytearray, noise: random.Random) -> None:
    at = noise.randrange(len(data))
    data[at : at + 8] = noise.choice((b"\xff" * 8, bytes(8), b"\x7f\xff\xff\xff" * 2, noise.randbytes(8)))


def _repeat(data: bytearray, noise: random.Random) -> None:
    start = noise.randrange(len(data))
    data[start:start] = data[start : start + noise.randrange(1, 200)] * noise.choice((1, 2, 50))


def _cut(data: bytearray, noise: random.Random) -> None:
    start = noise.randrange(len(data))
    del data[start : start + noise.randrange(1, 100)]


def _swap(data: bytearray, noise: random.Random) -> None:
    other = SEEDS[noise.choice(sorted(SEEDS))]
    at = noise.randrange(len(data))
    data[at : at + 100] = other[: noise.randrange(1, 400)]


MUTATORS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _flip,
    _truncate,
    _overwrite,
    _repeat,
    _cut,
    _swap,
)


def mutated(seed: bytes, noise: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(noise.choice((1, 1, 2, 4))):
        if data:
            noise.choice(MUTATORS)(data, noise)
    return bytes(data)


def read(name: str, data: bytes, rules: ReadingRules = RULES) -> list[Record | Refused | Member] | str:
    """All that the reader of a file by this name gives; the name decides, so that each reader sees what it dislikes."""
    try:
        return list(file_type(name).read(data, rules))
    except UndecodableError as error:
        return str(error)


@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files_are_read_or_refused(name: str) -> None:
    noise = random.Random(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(MUTATIONS):
        data = mutated(SEEDS[name], noise)
        started = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = read(name, data)
        assert time.process_time() - started < SECONDS, (name, number)
        if isinstance(found, str) or not data:
            continue
        assert found, (name, number)
        own = sum(part.bytes for part in found if isinstance(part, Record | Refused))
        inside = any(isinstance(part, Member) for part in found)
        assert own <= len(data) if inside or own == 0 else own == len(data), (name, number, found)
        for part in found:
            _check(part)
        anchors = [part.anchor for part in found if not isinstance(part, Member)]
        assert len(set(anchors)) == len(anchors), (name, number, anchors)
        names = [part.name for part in found if isinstance(part, Member)]
        assert len(set(names)) == len(names), (name, number, names)
        if number % 10 == 0:
            assert read(name, data) == found, (name, number)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < MEMORY


def _check(part: Record | Refused | Member) -> None:
    if isinstance(part, Member):
        assert ".." not in part.name.split("/")
        assert not part.name.startswith("/")
        assert len(part.data) <= RULES.max_member_bytes
        return
    assert part.bytes >= 0
    assert not set(part.anchor) & set("\0\r\n")
    part.anchor.encode()
    if isinstance(part, Record):
        part.text.encode()
        json.loads(part.metadata)
        part.metadata.encode("ascii")
    else:
        assert part.reason
        assert " at 0x" not in part.detail


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_many_more_damaged_files_are_read_or_refused(name: str) -> None:
    noise = random.Random(f"more {name}")
    for _ in range(2000):
        data = mutated(SEEDS[name], noise)
        started = time.process_time()
        found = read(name, data)
        assert time.process_time() - started < SECONDS
        for part in found if isinstance(found, list) else ():
            _check(part)
