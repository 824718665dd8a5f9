"""What in a mail its writer did not write there: quoted text of earlier mails, and the signature.

The reader marks both as spans of characters in the metadata (`readers/mail_quotes`). In a thread each mail quotes those
before it, so that without a cut the first one is learnt as often as it was answered.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, Literal, get_args

from loresmith.data.edited_text import Edit

MAIL_TYPES = frozenset({"message/rfc822", "application/mbox", "application/vnd.ms-outlook"})
"""Media types of what the readers of mail make; the metadata of others says what anybody may have written there."""

MailPart = Literal["quoted", "signature"]
MAIL_PARTS: tuple[MailPart, ...] = get_args(MailPart)


def mail_parts(text: str, metadata: str, media_type: str, wanted: Collection[MailPart]) -> list[Edit]:
    """Edits that cut parts out of a mail, in order and apart; each names its part as its rule.

    Args:
        text: as it was read.
        metadata: JSON, of the same document.
        wanted: which parts.
    """
    if media_type not in MAIL_TYPES or not wanted:
        return []
    told = json.loads(metadata or "{}")
    known = told if isinstance(told, dict) else {}
    found = sorted(
        (start, end, part) for part in MAIL_PARTS if part in wanted for start, end in _spans(known.get(part), len(text))
    )
    edits: list[Edit] = []
    for start, end, part in found:
        if not edits or start >= edits[-1].end:
            edits.append(Edit(start, end, "", part))
    return edits


def _spans(told: Any, length: int) -> Iterator[tuple[int, int]]:
    """Those of a text of some length, out of one span or a list of them."""
    for span in told if isinstance(told, list) and told and isinstance(told[0], list) else [told]:
        if isinstance(span, list) and len(span) == 2 and all(type(place) is int for place in span):
            start, end = span
            if 0 <= start < end <= length:
                yield start, end
