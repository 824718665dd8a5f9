"""Mail as Outlook saves it (.msg): properties in the streams of a compound file ([MS-OXMSG], [MS-OXPROPS])."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from loresmith.data.decoding import UndecodableError, decode, known_encoding
from loresmith.data.readers.complaint import complaint
from loresmith.data.readers.compressed_rtf import unpack_rtf
from loresmith.data.readers.html import html_to_text
from loresmith.data.readers.mail import attachments
from loresmith.data.readers.mail_record import Mail, mail_record
from loresmith.data.readers.member_names import MemberNames
from loresmith.data.readers.mime import parse_part
from loresmith.data.readers.record import Member, ReadingRules, Record, Refused

if TYPE_CHECKING:
    import olefile

_DAMAGE = (OSError, struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError, RecursionError, EOFError)
_DEEPEST = 8
_CODE_PAGES = {20127: "cp1252", 28591: "cp1252", 65001: "utf-8", 1200: "utf-16-le", 28592: "iso8859-2", 20866: "koi8-r"}
_SUBJECT, _BODY, _RTF, _HTML = 0x0037, 0x1000, 0x1009, 0x1013
_SENDER, _SENDER_ADDRESS, _SENDER_SMTP = 0x0C1A, 0x0C1F, 0x5D01
_TO, _CC, _MESSAGE_ID, _REFERENCES, _IN_REPLY_TO, _HEADERS = 0x0E04, 0x0E03, 0x1035, 0x1039, 0x1042, 0x007D
_SENT, _RECEIVED, _CODE_PAGE, _INTERNET_CODE_PAGE = 0x0039, 0x0E06, 0x3FFD, 0x3FDE
_ATTACHED, _LONG_NAME, _NAME, _CLASS = 0x3701, 0x3707, 0x3704, 0x001A


def read_msg(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused | Member]:
    """One record, with the attachments as members; mails within it are records with an anchor.

    Text that is there as RTF alone becomes the member `body.rtf`.
    """
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(data), raise_defects=olefile.DEFECT_FATAL) as file:
            found = list(_message(_Storage(file, ()), rules, MemberNames(), "", len(data)))
    except _DAMAGE as error:
        yield Refused("damaged", complaint(error), len(data))
        return
    yield from found


@dataclass(frozen=True)
class _Storage:
    """One message or attachment in the compound file."""

    file: olefile.OleFileIO
    path: tuple[str, ...]

    def stream(self, name: str) -> bytes | None:
        path = [*self.path, name]
        return self.file.openstream(path).read() if self.file.exists(path) else None

    def inner(self, prefix: str) -> list[_Storage]:
        level = len(self.path)
        names = sorted(
            {
                path[level]
                for path in self.file.listdir(streams=False, storages=True)
                if tuple(path[:level]) == self.path and len(path) == level + 1 and path[level].startswith(prefix)
            }
        )
        return [_Storage(self.file, (*self.path, name)) for name in names]

    def text(self, tag: int, code_page: str) -> str:
        """A string property; empty when there is none."""
        wide = self.stream(f"__substg1.0_{tag:04X}001F")
        if wide is not None:
            return wide.decode("utf-16-le", "replace").rstrip("\0")
        narrow = self.stream(f"__substg1.0_{tag:04X}001E")
        return decode(narrow.rstrip(b"\0"), [code_page, "cp1252", "latin-1"]) if narrow is not None else ""

    def binary(self, tag: int) -> bytes | None:
        return self.stream(f"__substg1.0_{tag:04X}0102")

    def fixed(self, *tags: int) -> int:
        """The first of these number or time properties that there is; 0 when there is none."""
        properties = self.stream("__properties_version1.0") or b""
        header = 32 if not self.path else 24
        held = {}
        for at in range(header, len(properties) - 15, 16):
            (tag, value) = struct.unpack_from("<I4xQ", properties, at)
            held[tag >> 16] = value if tag & 0xFFFF == 0x0040 else value & 0xFFFFFFFF
        return next((held[tag] for tag in tags if held.get(tag)), 0)


def _message(
    storage: _Storage, rules: ReadingRules, names: MemberNames, anchor: str, size: int
) -> Iterator[Record | Refused | Member]:
    page = storage.fixed(_CODE_PAGE, _INTERNET_CODE_PAGE)
    code_page = _CODE_PAGES.get(page, f"cp{page}")
    code_page = code_page if known_encoding(code_page) else "cp1252"

    def text(tag: int) -> str:
        return storage.text(tag, code_page)

    kind = text(_CLASS).lower()
    if "smime" in kind and "multipartsigned" not in kind:
        yield Refused("encrypted", "S/MIME", size, anchor)
        return
    if not any(map(text, (_SUBJECT, _BODY, _SENDER, _TO, _HEADERS, _CLASS))):
        yield Refused("damaged", "it has none of the properties of a mail", size, anchor)
        return
    attached: list[tuple[str, bytes]] = []
    try:
        body = _body(storage, text(_BODY), code_page, rules, attached)
    except UndecodableError as error:
        yield Refused("undecodable", str(error), size, anchor)
        return
    mails = []
    for inner in storage.inner("__attach_version1.0_#"):
        content = inner.binary(_ATTACHED)
        if content is not None:
            attached.append((inner.text(_LONG_NAME, code_page) or inner.text(_NAME, code_page), content))
        elif inner.inner("__substg1.0_3701000D") and len(storage.path) < 2 * _DEEPEST:
            mails.append(_Storage(storage.file, (*inner.path, "__substg1.0_3701000D")))
    headers = parse_part(text(_HEADERS).encode("utf-8", "surrogateescape") + b"\r\n\r\n")
    sent = storage.fixed(_SENT, _RECEIVED)
    when = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=sent // 10) if 0 < sent < 1 << 61 else None
    iso = when.isoformat(timespec="seconds").replace("+00:00", "Z") if when else ""
    mail = Mail(
        head={
            "From": _address(text(_SENDER), text(_SENDER_SMTP) or text(_SENDER_ADDRESS)),
            "To": re.sub(r"\s+", " ", text(_TO)).strip(),
            "Cc": re.sub(r"\s+", " ", text(_CC)).strip(),
            "Date": headers.header("Date") or iso,
            "Subject": re.sub(r"\s+", " ", text(_SUBJECT)).strip(),
        },
        body=body,
        sent=iso,
        message_id=text(_MESSAGE_ID) or headers.header("Message-ID"),
        in_reply_to=text(_IN_REPLY_TO) or headers.header("In-Reply-To"),
        references=text(_REFERENCES) or headers.header("References"),
        attachments=[name for name, _ in attached],
    )
    yield mail_record(mail, size, anchor)
    yield from attachments(attached, names, anchor)
    for number, inner in enumerate(mails, start=1):
        yield from _message(inner, rules, names, f"{anchor or '#'}{'-' if anchor else ''}message-{number}", 0)


def _body(storage: _Storage, plain: str, code_page: str, rules: ReadingRules, attached: list[tuple[str, bytes]]) -> str:
    if plain.strip():
        return plain.replace("\r\n", "\n").replace("\r", "\n")
    html = storage.binary(_HTML)
    if html:
        page = storage.fixed(_INTERNET_CODE_PAGE)
        declared = _CODE_PAGES.get(page, f"cp{page}")
        try:
            return html_to_text(decode(html, (*rules.encodings, code_page), declared))[0]
        except ValueError:
            attached.append(("body.html", html))
            return ""
    packed = storage.binary(_RTF)
    if packed:
        attached.append(("body.rtf", unpack_rtf(packed)))
    return ""


def _address(name: str, address: str) -> str:
    name = " ".join(name.split())
    if "@" not in address or address == name:
        return name or address
    return f"{name} <{address}>" if name else address
