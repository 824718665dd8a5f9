"""Keys, tokens and passwords: in a provider's format, as a private key's block, in an address, or said to be one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from loresmith.data.privacy.assigned_values import LONGEST_VALUE, find_assigned
from loresmith.data.privacy.findings import Finding
from loresmith.data.privacy.secret_formats import LONGEST_TOKEN, STRETCH, TOKEN
from loresmith.data.privacy.secret_values import is_placeholder
from loresmith.data.privacy.seen_text import SeenText

LONGEST_KEY_BLOCK = 16_384
"""Characters of the longest private key's block: RSA of 16,384 bits in PEM takes 13,000."""

_WORD_BEFORE = re.compile(r"[A-Za-z0-9]{1,16}[.:]$")
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_IS_WORD = bytes(chr(code) in _WORD for code in range(256))
_STRETCH = re.compile(rf"[A-Za-z0-9_\-]{{{STRETCH},}}")
_SHORT = 1000  # characters up to which an expression is faster than arrays
_FOUR = 4

_KEY_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"(?:[A-Za-z0-9+/=,:\- \r\n\t>]|\\[nr]){0,16000}+")

_WEBHOOK = re.compile(
    r"https://(?:hooks\.slack\.com/(?:services|workflows|triggers)|(?:[a-z]{1,16}\.)?discord(?:app)?\.com/api/webhooks"
    r"|[\w-]{1,64}\.webhook\.office\.com/webhookb2)/[\w\-/@.]{16,300}"
)
_ADDRESS = re.compile(r"://([^\s/:@\"'<>]{0,128}):([^\s/@\"'<>]{1,256})@[\w.\-]{1,253}(?::[0-9]{1,5}(?![0-9]))?")


class SecretRecogniser:
    """Finds what opens doors."""

    kinds = ("secret",)
    longest = max(LONGEST_KEY_BLOCK, LONGEST_TOKEN, LONGEST_VALUE)

    def find(self, seen: SeenText) -> Iterator[Finding]:
        yield from _find_key_blocks(seen.text)
        yield from _find_tokens(seen)
        yield from _find_addresses(seen.text)
        yield from _find_webhooks(seen)
        yield from find_assigned(seen)


def _find_webhooks(seen: SeenText) -> Iterator[Finding]:
    """Addresses that anybody who knows them may write to."""
    if b"hook" in seen.lowered:
        for found in _WEBHOOK.finditer(seen.text):
            yield Finding(*found.span(), "secret", 0.95, "secret/webhook")


def _find_key_blocks(text: str) -> Iterator[Finding]:
    place = text.find("-----BEGIN ")
    while place >= 0:
        begin = _KEY_BEGIN.match(text, place)
        place = text.find("-----BEGIN ", place + 1)
        if begin is None:
            continue
        limit = begin.start() + LONGEST_KEY_BLOCK
        if place >= 0:
            limit = min(limit, place)
        end = _KEY_END.search(text, begin.end(), limit)
        body = _KEY_BODY.match(text, begin.end(), limit)
        last = end.end() if end else body.end() if body else begin.end()
        letters = sum(map(str.isalnum, text[begin.end() : end.start() if end else last]))
        yield Finding(begin.start(), last, "secret", 0.98 if letters >= 40 else 0.3, "secret/private-key")


def _stretches(seen: SeenText) -> Iterator[tuple[int, int]]:
    """Where at least `STRETCH` letters, digits, `_` and `-` stand without a break.

    In a long text four characters are looked at as one integer: so long a stretch covers four aligned fours in a row.
    """
    if len(seen.text) <= _SHORT:
        yield from (found.span() for found in _STRETCH.finditer(seen.text))
        return
    marks = seen.lowered.translate(_IS_WORD)
    fours = np.frombuffer(marks + bytes(-len(marks) % _FOUR), dtype=np.uint32) == 0x01010101
    done = 0
    for four in np.flatnonzero(fours[:-3] & fours[1:-2] & fours[2:-1] & fours[3:]).tolist():
        if four * _FOUR >= done:
            start = marks.rfind(0, 0, four * _FOUR) + 1
            end = marks.find(0, four * _FOUR)
            done = end if end >= 0 else len(marks)
            if done - start >= STRETCH:
                yield start, done


def _find_tokens(seen: SeenText) -> Iterator[Finding]:
    text = seen.text
    for start, _ in _stretches(seen):
        starts = [start]
        if start and text[start - 1] in ".:":
            word = _WORD_BEFORE.search(text, max(0, start - 17), start)
            starts += [word.start()] if word else []
        for begin in starts:
            found = TOKEN.match(text, begin)
            if found is None or not found.lastgroup or (begin and text[begin - 1] in _WORD):
                continue
            if text[found.end() : found.end() + 1] in _WORD or not _is_random(found[0]):
                continue
            yield Finding(*found.span(), "secret", 0.95, f"secret/{found.lastgroup}")


def _is_random(token: str) -> bool:
    """Whether a token is neither a run of one letter nor small words, as it is in documentation."""
    mixed = any(map(str.islower, token[4:])) and any(map(str.isupper, token[4:]))
    return len(set(token[4:])) >= 8 and (mixed or any(map(str.isdigit, token[4:])))


def _find_addresses(text: str) -> Iterator[Finding]:
    place = text.find("://")
    while place >= 0:
        found = _ADDRESS.match(text, place)
        if found:
            confidence = 0.3 if is_placeholder(found[2]) or len(found[2]) < 6 else 0.9
            yield Finding(place + 3, found.end(), "secret", confidence, "secret/address")
        place = text.find("://", place + 3)
