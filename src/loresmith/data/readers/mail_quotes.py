"""What in a mail's text its writer did not write there: quoted replies and the signature, as spans of characters.

They are marked and not cut out; what becomes of them is decided later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUOTED_LINE = re.compile(r"^[ \t]{0,3}>.*(?:\n|\Z)", re.MULTILINE)
_SIGNATURE = re.compile(r"^--[ \u00a0]?\n", re.MULTILINE)
_LONGEST_SIGNATURE = 12  # lines; netiquette has four
_WROTE = "wrote|writes|schrieb|a écrit|ha scritto|escribió|escreveu|schreef|skrev|napisał|napsal|kirjoitti|пишет|писал"
_ATTRIBUTION = re.compile(rf"[^\n]{{0,200}}\b(?:{_WROTE})\b[^\n]{{0,80}}:", re.IGNORECASE)
_COLON = "[ \u00a0]?: "  # French has a space before it
# What Outlook puts before the mail that is replied to, which it does not mark otherwise; underscores divide all sorts
_FORWARDED = re.compile(
    r"^[ \t]*-{2,}[ \t]*(?:Original Message|Forwarded message|Ursprüngliche Nachricht|Weitergeleitete Nachricht|"
    r"Message d'origine|Mensaje original|Messaggio originale)[ \t]*-{2,}[ \t]*\n"
    rf"|^[ \t]*_{{20,}}[ \t]*\n(?:[ \t]*\n){{0,2}}\*?(?:From|Von|De|Da|Van|Från|Fra|Od|От){_COLON}"
    r"[^\n]+\n[^\n:]{1,20}:"
    rf"|^(?:From|Von|De|Da){_COLON}[^\n]+\n(?:Sent|Date|Gesendet|Datum|Envoyé|Enviado|Inviato|Data){_COLON}[^\n]+\n"
    rf"(?:To|An|À|Para|A){_COLON}",
    re.MULTILINE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Marked:
    """Spans of a text: first character and the one after the last, ascending and apart."""

    quoted: list[list[int]]
    signature: list[int] | None


def mark_quotes(text: str) -> Marked:
    """The quotations of earlier mails, with the line that introduces them, and the signature.

    A quotation is lines that begin with `>`, or all that follows the header of an earlier mail. A signature is what
    follows a line with two hyphens and a space (RFC 3676), if that is not much.
    """
    ends = _FORWARDED.search(text)
    written = ends.start() if ends else len(text)
    spans: list[list[int]] = []
    for found in _QUOTED_LINE.finditer(text, 0, written):
        if spans and text[spans[-1][1] : found.start()].strip() == "":
            spans[-1][1] = found.end()
        else:
            spans.append([found.start(), found.end()])
    spans = [[_introduction(text, start), end] for start, end in spans]
    if ends:
        spans.append([written, len(text)])
    return Marked(_apart(spans), _signature(text, spans))


def _introduction(text: str, start: int) -> int:
    """Where a quotation begins with the line before it, if that is of the kind `On Monday, Ada wrote:`, on up to two
    lines."""
    before = text[max(0, start - 600) : start].rstrip()
    first = before.rfind("\n") + 1
    if not before.endswith(":") or len(before) - first > 300:
        return start
    if _ATTRIBUTION.fullmatch(before, first):
        above = before.rfind("\n", 0, max(first - 1, 0)) + 1
        goes_on = re.match(r"(?:On|Am|Le|El|Il|Em|Op|Den|W dniu|Dne) [^\n]{0,200}\n\Z", before[above:first])
        return start - len(text[max(0, start - 600) : start]) + (above if goes_on else first)
    return start


def _signature(text: str, spans: list[list[int]]) -> list[int] | None:
    for found in reversed(list(_SIGNATURE.finditer(text))):
        following = next((start for start, _ in spans if start >= found.start()), len(text))
        inside = any(start <= found.start() < end for start, end in spans)
        if not inside and text.count("\n", found.end(), following) <= _LONGEST_SIGNATURE:
            return [found.start(), following]
    return None


def _apart(spans: list[list[int]]) -> list[list[int]]:
    joined: list[list[int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(end, joined[-1][1])
        else:
            joined.append([start, end])
    return joined
