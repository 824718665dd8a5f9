"""Archives give their files and nothing else: whatever they claim, contain or lack."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import resource
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterable

import pyarrow as pa
import pytest

from loresmith.data.file_types import file_type
from loresmith.data.path_names import raw_path
from loresmith.data.readers.member_names import MemberNames, UnsafeNameError, member_path
from loresmith.data.readers.record import Member, ReadingRules, Record, Refused
from tests.data.archive_files import AES, COPY, DELTA, LZMA2, PPMD, X86, seven_zipped, special, tarred, zipped

RULES = ReadingRules()
FILES = {
    "a.txt": b"first\n" * 1000,
    "folder/b.md": b"# second\n",
    "c.bin": bytes(range(256)) * 50 + b"\xe8\x10\0\0\0" * 99,
}


def read(data: bytes, name: str = "x", rules: ReadingRules = RULES) -> list[Member | Refused]:
    found = []
    for part in file_type(name, data[:8192]).read(data, rules):
        assert not isinstance(part, Record)
        found.append(part)
    return found


def members(found: Iterable[Member | Refused]) -> dict[str, bytes]:
    return {part.name: part.data for part in found if isinstance(part, Member)}


def reasons(found: Iterable[Member | Refused]) -> list[tuple[str, str]]:
    return [(part.anchor, part.reason) for part in found if isinstance(part, Refused)]


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


ARCHIVES = {
    **{f"zip {method}": zipped(FILES, method) for method in (0, 8, 12, 14)},
    **{f"tar {form}": tarred(FILES, form) for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)},
    "tar.gz": gzip.compress(tarred(FILES)),
    "tar.bz2": bz2.compress(tarred(FILES)),
    "tar.xz": lzma.compress(tarred(FILES)),
    "tar.zst": zstd(tarred(FILES)),
    "7z": seven_zipped(FILES),
    "7z with a packed header": seven_zipped(FILES, pack_header=True),
    "7z x86": seven_zipped(FILES, LZMA2, X86),
    "7z delta": seven_zipped(FILES, LZMA2, DELTA),
    "7z stored": seven_zipped(FILES, COPY),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_gives_the_bytes_of_its_files_by_its_content_alone(kind: str) -> None:
    assert members(read(ARCHIVES[kind])) == FILES


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_cut_short_gives_whole_files_and_says_that_the_rest_is_damaged(kind: str) -> None:
    data = ARCHIVES[kind]
    for end in (len(data) - 30, len(data) // 2, 40):
        found = read(data[:end], "x.tar" if kind.startswith("tar ") else kind.split()[0].replace("7z", "x.7z"))
        assert all(FILES[name] == content for name, content in members(found).items())
        missing = members(found) != FILES
        assert {reason for _, reason in reasons(found)} >= ({"damaged"} if missing else set())


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_one_compressed_file_is_called_as_the_outer_one(pack: type) -> None:
    (found,) = read(pack(b"a,b\n1,2\n"))
    assert isinstance(found, Member)
    assert found.data == b"a,b\n1,2\n"
    assert member_path("in/table.csv.gz", found.name) == "in/table.csv.gz!/table.csv"
    (damaged,) = read(pack(b"a,b\n1,2\n" * 1000)[:-9])
    assert reasons([damaged]) == [("", "damaged")]


def test_several_streams_in_one_file_are_one_file() -> None:
    assert members(read(gzip.compress(b"one ") + gzip.compress(b"two") + bytes(100))) == {"": b"one two"}
    assert reasons(read(gzip.compress(b"one ") + b"garbage")) == [("", "damaged")]


def test_times_are_those_of_the_archive_in_utc() -> None:
    (zip_member,) = read(zipped({"a": b"x"}))
    (tar_member,) = read(tarred({"a": b"x"}))
    assert isinstance(zip_member, Member)
    assert isinstance(tar_member, Member)
    assert time.gmtime(zip_member.modified)[:6] == (2026, 11, 2, 10, 0, 0)
    assert tar_member.modified == 1_700_000_000


HOSTILE = {
    "../up.txt": "path escapes",
    "a/../../up.txt": "path escapes",
    "..\\up.txt": "path escapes",
    "C:\\windows\\x.txt": "path escapes",
    "a/" * 100 + "deep": "path too long",
    ("x" * 200 + "/") * 15 + "long": "path too long",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leads_out_is_refused_in_every_format(name: str) -> None:
    for data in (zipped({name: b"x", "good": b"y"}), seven_zipped({name: b"x", "good": b"y"})):
        found = read(data)
        assert members(found) == {"good": b"y"}
        assert reasons(found) == [("!#1", HOSTILE[name])]
    if "\\" not in name:
        found = read(tarred({name: b"x", "good": b"y"}))
        assert members(found) == {"good": b"y"}
        assert reasons(found) == [("!#1", HOSTILE[name])]


def test_names_stay_below_the_outer_file_and_apart() -> None:
    names = MemberNames()
    raw = ["a", "a", "/a", "a/b", "a/c", "./a//x", "", ".", "//server/share/d", "e\\f", "n\0l\n", "caf\udce9", "b!/c"]
    paths = [member_path("o.zip", names.add(name, windows=True)) for name in raw]
    assert len(set(paths)) == len(raw)
    for path in paths:
        inner = path.removeprefix("o.zip!/")
        assert "!/" not in inner
        assert not inner.startswith("/")
        assert ".." not in inner.split("/")
        assert inner.isprintable()
    assert [path.removeprefix("o.zip!/") for path in paths[:5]] == ["a", "a~2", "a~3", "a~4/b", "a~4/c"]
    assert raw_path(paths[-1]) == "o.zip!/b!/c"
    with pytest.raises(UnsafeNameError):
        names.add("a/../..")


def test_a_million_copies_of_a_name_take_linear_time() -> None:
    names, started = MemberNames(), time.process_time()
    for _ in range(100_000):
        names.add("same/name.txt")
    assert time.process_time() - started < 5


def test_links_and_devices_are_refused_by_name() -> None:
    hostile = {
        "link": special("link", tarfile.SYMTYPE, "/etc/passwd"),
        "hard": special("hard", tarfile.LNKTYPE, "/etc/shadow"),
        "disk": special("disk", tarfile.BLKTYPE),
        "tty": special("tty", tarfile.CHRTYPE),
        "pipe": special("pipe", tarfile.FIFOTYPE),
    }
    found = read(tarred({**hostile, "good": b"y"}))
    assert members(found) == {"good": b"y"}
    assert reasons(found) == [(f"!/{name}", "not a regular file") for name in hostile]

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert reasons(read(made.getvalue())) == [("!/link", "not a regular file")]


def test_encrypted_members_are_called_so() -> None:
    data = bytearray(zipped({"secret.txt": b"x" * 20, "open.txt": b"y"}))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + at] |= 1
    found = read(bytes(data))
    assert members(found) == {"open.txt": b"y"}
    assert reasons(found) == [("!/secret.txt", "encrypted")]
    assert reasons(read(seven_zipped({"a": b"x", "b": b"y"}, AES))) == [("!/a", "encrypted"), ("!/b", "encrypted")]


def test_what_7z_packs_in_ways_not_known_here_is_named() -> None:
    (found,) = read(seven_zipped({"a": b"x"}, PPMD))
    assert found == Refused("unsupported compression", "PPMd", 0, "!/a")


def test_a_wrong_checksum_spoils_one_member_of_a_zip_and_of_a_7z() -> None:
    data = bytearray(zipped(FILES, 0))
    data[data.find(b"first")] ^= 1
    assert members(read(bytes(data))) == {name: FILES[name] for name in ("folder/b.md", "c.bin")}
    data = bytearray(seven_zipped(FILES, COPY))
    data[data.find(b"# second")] ^= 1
    assert members(read(bytes(data))) == {name: FILES[name] for name in ("a.txt", "c.bin")}
    data = bytearray(tarred(FILES))
    data[data.find(b"folder/b.md")] ^= 1
    found = read(bytes(data))
    assert members(found) == {"a.txt": FILES["a.txt"]}
    assert reasons(found) == [("", "damaged")]


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


BOMB = bytes(1 << 20)


@pytest.mark.parametrize("kind", ["gz", "tar.gz", "zip", "7z"])
def test_a_bomb_is_stopped_by_what_comes_out_of_it(kind: str) -> None:
    """10 GB of zeros and more, in 10 MB at most."""
    unit = gzip.compress(BOMB, 9)
    if kind == "gz":
        data = unit * 10_000
    elif kind == "tar.gz":
        header = bytearray(special("zeros", tarfile.REGTYPE).tobuf(tarfile.GNU_FORMAT))
        header[124:136] = b"\x80" + (10 << 30).to_bytes(11, "big")
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        data = gzip.compress(bytes(header)) + unit * 10_000
    elif kind == "zip":
        data = zipped({f"{number}": BOMB * 33 for number in range(9)})
    else:
        data = seven_zipped({"zeros": BOMB * 40, "b": b"x"})
    rules = ReadingRules(max_unpacked_bytes=1 << 28, max_member_bytes=1 << 25)
    started, before = time.process_time(), peak_memory()
    found = read(data, rules=rules)
    assert time.process_time() - started < 5
    assert peak_memory() - before < 1 << 28
    assert {reason for _, reason in reasons(found)} <= {"too large", "unpacks to too much"}
    assert all(len(content) < 2 for content in members(found).values())
    if kind in ("tar.gz", "zip"):
        assert reasons(found)[-1] == ("", "unpacks to too much") or kind == "tar.gz"


def overlapping() -> bytes:
    """Forty directory entries for one member of 1 MB: the form of zip bomb that needs no nesting."""
    data = zipped({"kernel": BOMB})
    start = data.find(b"PK\x01\x02")
    end = data.find(b"PK\x05\x06")
    entries = data[start:end] * 40
    tail = bytearray(data[end:])
    struct.pack_into("<HHL", tail, 8, 40, 40, len(entries))
    return data[:start] + entries + bytes(tail)


def test_members_that_share_their_bytes_are_refused() -> None:
    found = read(overlapping())
    assert not members(found)
    assert {reason for _, reason in reasons(found)} == {"overlapping members"}
    assert len(found) == 40


def test_a_zip_within_itself_is_one_member_at_each_level() -> None:
    inner = zipped({"0": b"x"})
    for level in range(1, 30):
        inner = zipped({f"{level}.zip": inner})
    assert list(members(read(inner))) == ["29.zip"]


def test_more_members_than_allowed_are_not_read() -> None:
    data = zipped({f"{number}": b"" for number in range(1001)}, 0)
    found = read(data, rules=ReadingRules(max_members=1000))
    assert len(members(found)) == 1000
    assert reasons(found) == [("", "unpacks to too much")]
    found = read(tarred({f"{number}": b"" for number in range(101)}), rules=ReadingRules(max_members=100))
    assert len(members(found)) == 100
    found = read(seven_zipped({f"{number}": b"x" for number in range(101)}), rules=ReadingRules(max_members=100))
    assert reasons(found) == [("", "unpacks to too much")]


def test_a_hundred_thousand_members_take_seconds() -> None:
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, 5, 0)
    central = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0)
    parts, directory = [], []
    for number in range(100_000):
        name = b"%05d" % number
        parts.append(local + name)
        directory.append(central[:-4] + struct.pack("<L", number * (len(local) + 5)) + name)
    body, listing = b"".join(parts), b"".join(directory)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 100_000 & 0xFFFF, 100_000 & 0xFFFF, len(listing), len(body), 0)
    started = time.process_time()
    assert len(members(read(body + listing + end))) == 100_000
    assert time.process_time() - started < 10


def test_declared_sizes_are_not_believed() -> None:
    data = bytearray(zipped({"a": b"x" * 100}))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<L", data, data.find(mark) + at, 50)
    assert reasons(read(bytes(data))) == [("!/a", "damaged")]
    assert reasons(read(seven_zipped({"a": b"x"}, first=1 << 40))) == [("!/a", "damaged")]


def test_a_zip_that_lost_its_directory_gives_its_members() -> None:
    data = zipped(FILES)
    found = read(data[: data.find(b"PK\x01\x02")])
    assert members(found) == FILES
    assert reasons(found) == [("", "damaged")]


def test_names_and_times_of_other_systems_are_read() -> None:
    data = zipped({"caf_.txt": b"x"}).replace(b"caf_", b"caf\x82")
    assert list(members(read(data))) == ["café.txt"]  # code page 437
    long = "ü" * 60 + "/" + "n" * 120
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert list(members(read(tarred({long: b"x"}, form)))) == [long]


def test_a_tar_file_without_files_is_empty_and_text_is_none() -> None:
    assert reasons(read(bytes(10240), "x.tar")) == [("", "empty")]
    assert reasons(read(b"hello" * 200, "x.tar")) == [("", "damaged")]
    assert reasons(read(zlib.compress(b"x"), "x.gz")) == [("", "damaged")]
