"""The terms of a text, by which the words of a question find a passage."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_WORD = re.compile(r"\w+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W_A-Za-z0-9]+")

LONGEST = 64
"""Characters of a term; a longer word is cut, so that base64 does not fill the vocabulary."""


def terms_of(text: str) -> list[str]:
    """The terms of a text, in order, case and width folded.

    A name such as `max_new_tokens` or `maxNewTokens` gives itself and its parts. Where a script has no spaces, every
    two neighbouring characters are a term.
    """
    return list(_terms(unicodedata.normalize("NFKC", text)))


def _terms(text: str) -> Iterator[str]:
    for match in _WORD.finditer(text):
        word = match[0]
        if not word.isascii() and _UNSPACED.search(word):
            yield from _unspaced_terms(word)
            continue
        yield word[:LONGEST].casefold()
        if "_" in word or not (word.islower() or word.isupper() or word[1:].islower()):
            parts = _PART.findall(word)
            if len(parts) > 1:
                yield from (part[:LONGEST].casefold() for part in parts)


def _unspaced_terms(word: str) -> Iterator[str]:
    at = 0
    for match in _UNSPACED.finditer(word):
        if at < match.start():
            yield word[at : match.start()][:LONGEST].casefold()
        run = match[0]
        yield from (run[place : place + 2] for place in range(max(1, len(run) - 1)))
        at = match.end()
    if at < len(word):
        yield word[at:][:LONGEST].casefold()
