"""Phrases that are denied, however they are written: in other letters, spelled, with repeats, in digits, backwards."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from loresmith.errors import UserError
from loresmith.serving.guards.folding import folded, looks_like
from loresmith.serving.guards.guard import Hit, Reading
from loresmith.serving.guards.settings import DenyGuard

_BETWEEN = r"[\W_]{0,4}"
_BETWEEN_WORDS = r"[\W_]{0,6}"
_WORD_BEGINS = r"(?<![^\W_])"
_WORD_ENDS = r"(?![^\W_])"
_NO_LETTERS = {code: None for code in range(128) if not chr(code).isalnum()}
_NOTHING_SAID = re.compile(r"[\W_]+")
_REPEATED = re.compile(r"(.)(?=\1)")
_SHORTEST_TURNED = 5
"""Letters of the shortest phrase that is looked for backwards and in ROT13; others would be found by chance."""

_SHORTEST_DOUBLED = 8
"""Letters of the shortest phrase in which a letter may stand twice: `lose` and `loose` are two words."""

_DIGITS = str.maketrans("0134578629", "oieastbgzg")
_SYMBOLS = str.maketrans("0134578629@$!|+€£(", "oieastbgzgasiiteic")
_ONE_LETTER = str.maketrans("l", "i")
"""A one and a bar stand for both."""

_LONGEST_HOLD = 320


@dataclass(frozen=True)
class _Phrase:
    rule: str
    squeezed: str
    pattern: re.Pattern[str]


class PhraseGuard:
    """Finds phrases of a list.

    A letter may stand three times or more instead of once, in a phrase of at least eight letters also twice; it may
    have up to four characters that are no letters behind it, and be written as a digit or a symbol (`4`, `@`, `$`). A
    match begins and ends where a word does.

    Args:
        phrases: what is denied; see `settings.DenyGuard`.
    """

    left = 8
    whole = False
    mask = "[REMOVED]"

    def __init__(self, phrases: Iterable[str]) -> None:
        self._plain: list[_Phrase] = []
        self._leet: list[_Phrase] = []
        longest = 0
        for number, phrase in enumerate(phrases, 1):
            said = _lower(_look(phrase.removesuffix("*"))).strip()
            words = [word for word in _NOTHING_SAID.split(said) if word]
            if not words:
                raise UserError(f"there is nothing to look for in the phrase {phrase!r}", where="guards")
            rule, open_ended = f"phrase {number}", phrase.endswith("*")
            longest = max(longest, 4 * len(said) + 8)
            self._plain.append(_phrase(rule, words, open_ended))
            self._leet.append(
                _phrase(rule, [word.translate(_SYMBOLS).translate(_ONE_LETTER) for word in words], open_ended)
            )
            if sum(map(len, words)) >= _SHORTEST_TURNED:
                backwards = [word[::-1] for word in words]
                self._plain.append(_phrase(f"{rule} (backwards)", backwards[::-1], False))
                if len(words) > 1:
                    self._plain.append(_phrase(f"{rule} (words backwards)", backwards, False))
                self._plain.append(
                    _phrase(f"{rule} (rot13)", [codecs.encode(word, "rot13") for word in words], open_ended)
                )
        self.hold = min(longest, _LONGEST_HOLD)

    @classmethod
    def of(cls, settings: DenyGuard, folder: Path) -> PhraseGuard:
        """The guard of some settings.

        Raises:
            UserError: the file is not there, or holds no phrase.
        """
        return cls([*settings.phrases, *(_read(folder / settings.file) if settings.file else ())])

    def look(self, reading: Reading) -> Iterator[Hit]:
        for view in reading.views.all:
            if view.form == "" and reading.views.look is not view:
                continue  # its look has all that it has
            text = _lower(view.text)
            for form, phrases in ((text, self._plain), *((leet, self._leet) for leet in _leet(text))):
                squeezed = _squeezed(form)
                for phrase in phrases:
                    if phrase.squeezed in squeezed:
                        for found in phrase.pattern.finditer(form):
                            rule = f"{phrase.rule} ({view.form})" if view.form else phrase.rule
                            yield Hit(*view.given(*found.span()), rule, self.mask)

    def open_from(self, reading: Reading) -> int:
        return len(reading.views.given)


def _read(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            "the list of phrases cannot be read", where=str(path), hint="name a text file in UTF-8, one phrase a line"
        ) from error
    phrases = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not phrases:
        raise UserError("the list of phrases is empty", where=str(path), hint="write one phrase a line")
    return phrases


def _look(text: str) -> str:
    looks = folded(text)
    return text if looks is None else looks.text


def _lower(text: str) -> str:
    """In small letters, as many as there are characters, and as those look: a capital may look like none."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(one if len(one := character.lower()) == 1 else character for character in text)
    if lower.isascii():
        return lower
    return "".join(one if len(one := looks_like(character)) == 1 else character for character in lower)


def _leet(text: str) -> Iterator[str]:
    digits = text.translate(_DIGITS)
    symbols = text.translate(_SYMBOLS)
    if digits != text or "l" in text:
        yield digits.translate(_ONE_LETTER)
    if symbols != digits:
        yield symbols.translate(_ONE_LETTER)


def _squeezed(text: str) -> str:
    """Letters and digits alone, without repeats: what a phrase has to be in to be worth looking for."""
    if not text.isascii():
        return _REPEATED.sub("", _NOTHING_SAID.sub("", text))
    letters = np.frombuffer(text.translate(_NO_LETTERS).encode("ascii"), dtype=np.uint8)
    return letters[np.r_[True, letters[1:] != letters[:-1]]].tobytes().decode("ascii") if len(letters) else ""


def _phrase(rule: str, words: list[str], open_ended: bool) -> _Phrase:
    doubled = sum(map(len, words)) >= _SHORTEST_DOUBLED
    pattern = _BETWEEN_WORDS.join(_word(word, doubled) for word in words)
    begins = _WORD_BEGINS if words[0][0].isascii() else ""
    ends = "" if not words[-1][-1].isascii() else r"[^\W_]*" if open_ended else _WORD_ENDS
    return _Phrase(rule, _squeezed("".join(words)), re.compile(begins + pattern + ends))


def _word(word: str, doubled: bool) -> str:
    letters = []
    for letter, run in groupby(word):
        times, one = len(list(run)), re.escape(letter)
        if times == 1:
            letters.append(f"{one}+" if doubled else f"{one}(?:{one}{one}+)?")
        else:
            letters.append(_BETWEEN.join([one] * times) + f"{one}*")
    return _BETWEEN.join(letters)
