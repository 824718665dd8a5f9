"""Mail as it was sent (EML, RFC 5322): its text is a record, what is attached to it are files of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from loresmith.data.decoding import UndecodableError
from loresmith.data.readers.html import html_to_text
from loresmith.data.readers.mail_record import Mail, mail_record, utc_time
from loresmith.data.readers.member_names import MemberNames, UnsafeNameError
from loresmith.data.readers.mime import Part, inner_parts, parse_part
from loresmith.data.readers.record import Member, ReadingRules, Record, Refused

_HEAD = ("From", "To", "Cc", "Date", "Subject")
_KNOWN = (*_HEAD, "Message-ID", "Received", "Return-Path", "MIME-Version", "Content-Type", "Delivered-To", "Reply-To")
_SIGNATURES = {"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"}
_SEALS = {"application/pgp-encrypted": "OpenPGP", "application/pkcs7-mime": "S/MIME"}
_SEALED = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
_INLINE_PGP = re.compile(r"\A\s*-----BEGIN PGP MESSAGE-----")
_EXTENSIONS = {
    "text/plain": ".txt",
    "text/html": ".html",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "message/rfc822": ".eml",
    "application/pdf": ".pdf",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
}


class EncryptedError(Exception):
    """A mail that only its receiver can read; says how it is encrypted."""


def read_eml(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused | Member]:
    """One record, with the attachments as members."""
    yield from read_message(data, rules, MemberNames())


def read_message(
    data: bytes, rules: ReadingRules, names: MemberNames, *, anchor: str = "", start: int = 0, size: int | None = None
) -> Iterator[Record | Refused | Member]:
    """The record of one mail, and its attachments.

    Plain text is preferred to HTML where both say the same (RFC 2046, 5.1.4). The bytes of the attachments are among
    those of the record.

    Args:
        names: of the attachments; below a folder named by the anchor, if there is one.
        anchor, start: as of a record.
        size: of the mail in its file, where that is not the length of `data`.
    """
    size = len(data) if size is None else size
    message = parse_part(data)
    if not any(message.header(name) for name in _KNOWN):
        yield Refused("damaged", "it has none of the headers of a mail", size, anchor)
        return
    try:
        gathered = _Gathered(rules)
        gathered.take(message)
        mail = _mail(message, gathered)
    except EncryptedError as error:
        yield Refused("encrypted", str(error), size, anchor)
        return
    except UndecodableError as error:
        yield Refused("undecodable", str(error), size, anchor)
        return
    yield mail_record(mail, size, anchor, start)
    yield from attachments(gathered.attached, names, anchor)
    if gathered.left_out:
        yield Refused("too many members", f"more than {rules.max_members} parts; see max_members", 0, anchor)


def attachments(attached: list[tuple[str, bytes]], names: MemberNames, anchor: str) -> Iterator[Member | Refused]:
    """The members for named bytes, below a folder named by the anchor if there is one."""
    folder = f"{anchor.removeprefix('#')}/" if anchor else ""
    for number, (name, content) in enumerate(attached, start=1):
        try:
            safe = names.add(folder + (name.replace("\\", "/").rsplit("/", 1)[-1] or f"attachment-{number}"))
        except UnsafeNameError as error:
            yield Refused(error.reason, str(error), 0, f"{anchor}!#{number}")
        else:
            yield Member(safe, content)


@dataclass
class _Gathered:
    """What the parts of a mail hold."""

    rules: ReadingRules
    texts: list[str] = field(default_factory=list)
    attached: list[tuple[str, bytes]] = field(default_factory=list)
    signed: bool = False
    parts: int = 0
    left_out: bool = False

    def take(self, part: Part, depth: int = 0) -> None:
        self.parts += 1
        if self.parts > self.rules.max_members:
            self.left_out = True
            return
        kind = part.content_type
        if kind == "multipart/encrypted":
            raise EncryptedError(_SEALS.get(part.parameter("protocol").lower(), "multipart/encrypted"))
        if kind in _SEALED and part.parameter("smime-type").lower() in ("", "enveloped-data", "authenveloped-data"):
            raise EncryptedError("S/MIME")
        if kind in _SIGNATURES:
            self.signed = True
        elif kind.startswith("multipart/"):
            inner = list(islice(inner_parts(part, depth), self.rules.max_members + 1))
            if not inner:  # a boundary that never comes: what it holds is read as text
                self.texts.append(part.text(self.rules.encodings))
            elif kind == "multipart/alternative":
                self._take_best(inner, depth)
            else:
                for one in inner:
                    self.take(one, depth + 1)
        elif part.is_attachment or kind not in ("text/plain", "text/html") or (part.file_name and depth):
            self._attach(part)
        else:
            self._add_text(part)

    def _take_best(self, inner: list[Part], depth: int) -> None:
        """One of the ways to say the same; what is no text in the others, such as an invitation, is attached."""
        plain = [part for part in inner if part.content_type == "text/plain" and part.content().strip()]
        for part in inner:
            if part.content_type == "text/plain" or not (plain and _only_text(part)):
                self.take(part, depth + 1)

    def _add_text(self, part: Part) -> None:
        text = part.text(self.rules.encodings)
        if part.content_type == "text/html":
            try:
                text = html_to_text(text)[0]
            except ValueError:
                self._attach(part)
                return
        elif _INLINE_PGP.match(text):
            raise EncryptedError("OpenPGP")
        elif part.parameter("format").lower() == "flowed":
            text = _unflowed(text, part.parameter("delsp").lower() == "yes")
        self.texts.append(text)

    def _attach(self, part: Part) -> None:
        number = len(self.attached) + 1
        name = part.file_name or f"attachment-{number}{_EXTENSIONS.get(part.content_type, '')}"
        self.attached.append((name, part.content()))


def _only_text(part: Part) -> bool:
    """HTML, with the pictures it shows."""
    return part.content_type in ("text/html", "multipart/related", "text/enriched", "text/x-amp-html")


def _unflowed(text: str, delete_space: bool) -> str:
    """RFC 3676: a line that ends with a space goes on in the next one, unless it is the signature's mark."""
    lines: list[str] = []
    open_ = False
    for line in text.split("\n"):
        quoted = line.startswith(">")
        content = line if quoted else line.removeprefix(" ")
        if open_ and not quoted and content != "-- ":
            lines[-1] = (lines[-1][:-1] if delete_space else lines[-1]) + content
        else:
            lines.append(content)
        open_ = content.endswith(" ") and content != "-- " and not quoted
    return "\n".join(lines)


def _mail(message: Part, gathered: _Gathered) -> Mail:
    head = {name: message.header(name) for name in _HEAD}
    body = "\n\n".join(text.strip("\n") for text in gathered.texts if text.strip())
    return Mail(
        head=head,
        body=body,
        sent=utc_time(head["Date"]),
        message_id=message.header("Message-ID"),
        in_reply_to=message.header("In-Reply-To"),
        references=message.header("References"),
        attachments=[name for name, _ in gathered.attached],
        more={"signed": True} if gathered.signed else {},
    )
