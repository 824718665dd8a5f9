"""One mail as a record: a head that a person reads, its text, and in the metadata what makes it part of a thread."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from loresmith.data.readers.mail_quotes import mark_quotes
from loresmith.data.readers.record import Record, metadata_json

_MESSAGE_ID = re.compile(r"<[^<>\s]{1,500}>")
_MOST_REFERENCES = 100


@dataclass(frozen=True)
class Mail:
    """What a mail says, whatever kind of file held it.

    Attributes:
        head: From, To, Cc, Date, Subject and whatever else is to be read above the text; empty ones are left out.
        body: its text.
        sent: ISO 8601 in UTC; empty when it is not known.
        message_id, in_reply_to, references: as in the headers of those names.
        attachments: their names.
        more: other things for the metadata.
    """

    head: Mapping[str, str]
    body: str
    sent: str = ""
    message_id: str = ""
    in_reply_to: str = ""
    references: str = ""
    attachments: Sequence[str] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


def mail_record(mail: Mail, size: int, anchor: str = "", start: int = 0) -> Record:
    """The record of a mail that takes up `size` bytes from `start` on.

    The metadata's `thread` is the first mail that it goes back to, its own id if it answers none: mails of one thread
    have it in common. `quoted` and `signature` are spans of characters of the text.
    """
    head = "".join(f"{name}: {value}\n" for name, value in mail.head.items() if value)
    body = mail.body.strip("\n")
    shift = len(head) + 1 if head else 0
    text = f"{head}\n{body}\n" if head else f"{body}\n"
    marked = mark_quotes(body + "\n")
    message_id = "".join(_MESSAGE_ID.findall(mail.message_id)[:1])
    answers = _MESSAGE_ID.findall(mail.in_reply_to)[:1]
    references = _MESSAGE_ID.findall(mail.references)[:_MOST_REFERENCES]
    metadata: dict[str, Any] = {
        **{name.lower(): value for name, value in mail.head.items()},
        "date": mail.sent,
        "message_id": message_id,
        "in_reply_to": "".join(answers),
        "references": references,
        "thread": next(iter([*references, *answers, message_id]), ""),
        "quoted": [[start + shift, end + shift] for start, end in marked.quoted],
        "signature": [place + shift for place in marked.signature or ()],
        "attachments": list(mail.attachments),
        **mail.more,
    }
    known = {name: value for name, value in metadata.items() if value}
    return Record(text, size, anchor, metadata_json(known), start=start)


def utc_time(date: str) -> str:
    """A mail's date as ISO 8601 in UTC; empty when it is none. A date without a time zone is taken for UTC."""
    try:
        moment = parsedate_to_datetime(date)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return ""
