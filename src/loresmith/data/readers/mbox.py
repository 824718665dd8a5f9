"""Mailboxes (RFC 4155): each mail is a record of its own, with the bytes in which it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loresmith.data.readers.mail import read_message
from loresmith.data.readers.member_names import MemberNames
from loresmith.data.readers.record import Member, ReadingRules, Record, Refused

# After an empty line, with a date, and before a header: prose that happens to begin with "From " has not all of it.
_FROM_LINE = re.compile(
    rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\r\n]*\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b[^\r\n]*\d\d:\d\d[^\r\n]*\r?\n"
    rb"(?=>?[!-9;-~]{1,76}:|>From )"
)
_ESCAPED = re.compile(rb"^>(?=>*From )", re.MULTILINE)


def read_mbox(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused | Member]:
    """One record a mail; attachments are below `message-N/`. The quoting of lines that begin with "From " is undone."""
    names = MemberNames()
    found = _FROM_LINE.search(data)
    if found is None:
        yield Refused("damaged", "no line that begins a mail", len(data))
        return
    if found.start():
        yield Refused("damaged", "it stands before the first mail", found.start(), "#message-0")
    number = 0
    while found is not None:
        number += 1
        following = _FROM_LINE.search(data, found.end())
        end = following.start() if following else len(data)
        message = _ESCAPED.sub(b"", data[found.end() : end])
        span = {"start": found.start(), "size": end - found.start()}
        yield from read_message(message, rules, names, anchor=f"#message-{number}", **span)
        found = following
