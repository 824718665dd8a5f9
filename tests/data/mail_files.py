"""Mail for tests: as it is sent, and as Outlook saves it."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from email.message import EmailMessage

Storage = Mapping[str, "bytes | Storage"]

_SECTOR, _FREE, _END, _FAT = 512, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def mail(subject: str = "Pump", text: str = "It leaks.\n", **headers: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ada Löw <ada@example.org>"
    message["To"] = "bob@example.org"
    message["Date"] = "Mon, 02 Nov 2026 10:00:00 +0100"
    message["Subject"] = subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


def outlook_message(
    texts: Mapping[int, str],
    binaries: Mapping[int, bytes] = {},
    attached: Mapping[str, bytes] = {},
    inner: Storage | None = None,
) -> Storage:
    """The storage of a mail: string and binary properties by tag, and attachments."""
    storage: dict[str, bytes | Storage] = {
        f"__substg1.0_{tag:04X}001F": value.encode("utf-16-le") for tag, value in texts.items()
    }
    storage |= {f"__substg1.0_{tag:04X}0102": value for tag, value in binaries.items()}
    sent = struct.pack("<IIQ", 0x00390040, 6, (1_793_610_000 + 11_644_473_600) * 10_000_000)
    storage["__properties_version1.0"] = bytes(32) + sent
    for number, (name, data) in enumerate(attached.items()):
        storage[f"__attach_version1.0_#{number:08X}"] = {
            "__substg1.0_3707001F": name.encode("utf-16-le"),
            "__substg1.0_37010102": data,
            "__properties_version1.0": bytes(8),
        }
    if inner is not None:
        storage["__attach_version1.0_#000000FF"] = {"__substg1.0_3701000D": inner, "__properties_version1.0": bytes(8)}
    return storage


def compound_file(root: Storage) -> bytes:
    """A compound file ([MS-CFB], version 3) with these storages; every stream lies in whole sectors of its own."""
    entries: list[bytes] = []
    sectors: list[bytes] = []
    chains: list[int] = []

    def add_stream(data: bytes) -> int:
        if not data:
            return _END
        first, count = len(sectors), -(-len(data) // _SECTOR)
        sectors.extend(data[at : at + _SECTOR].ljust(_SECTOR, b"\0") for at in range(0, len(data), _SECTOR))
        chains.extend([*range(first + 1, first + count), _END])
        return first

    def add(name: str, content: bytes | Storage, right: int) -> int:
        number = len(entries)
        entries.append(b"")
        child, start, size = _FREE, _END, 0
        if isinstance(content, bytes):
            held = content.ljust(4096, b"\0") if content else b""  # smaller ones belong into the mini stream
            start, size = add_stream(held), len(held)
        else:
            for inner in sorted(content, key=lambda one: (len(one), one.upper()), reverse=True):
                child = add(inner, content[inner], child)
        encoded = (name + "\0").encode("utf-16-le")
        kind = 2 if isinstance(content, bytes) else 1 if number else 5
        entries[number] = struct.pack(
            "<64sHBBIII16sIQQIQ",
            encoded,
            len(encoded),
            kind,
            1,
            _FREE,
            right,
            child,
            b"",
            0,
            0,
            0,
            start if kind == 2 else 0,
            size,
        )
        return number

    add("Root Entry", root, _FREE)
    directory = add_stream(b"".join(entries).ljust(-(-len(entries) // 4) * _SECTOR, b"\0"))
    fats = 1
    while fats * 128 < len(sectors) + fats:
        fats += 1
    table = [*chains, *[_FAT] * fats]
    table += [_FREE] * (fats * 128 - len(table))
    first_fat = len(sectors)
    for at in range(fats):
        sectors.append(struct.pack("<128I", *table[at * 128 : (at + 1) * 128]))
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIIII",
        *(
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            b"",
            0x3E,
            3,
            0xFFFE,
            9,
            6,
            b"",
            0,
            fats,
            directory,
            0,
            4096,
            _END,
            0,
            _END,
            0,
        ),
        first_fat,
    )
    places = [first_fat + at for at in range(1, fats)]
    rest = struct.pack(f"<{len(places)}I", *places) + b"\xff" * (4 * (108 - len(places)))
    return header + rest + b"".join(sectors)
