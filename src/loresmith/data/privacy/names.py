"""Names of people: after a title or a label, with a given name that is known, or out of the operator's own list."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

from loresmith.data.privacy.findings import Finding
from loresmith.data.privacy.name_words import LABEL_WORDS, NOT_SURNAMES, ORGANISATION, TITLE_WORDS
from loresmith.data.privacy.seen_text import SeenText
from loresmith.errors import UserError
from loresmith.nearest import unknown_name

LONGEST = 96
"""Characters of the longest name that is found, also by a model."""

NAME_MODELS = "loresmith.names"
"""The group of entry points in which a package offers a name model."""

NameModel = Callable[[str], Iterable[tuple[int, int, float]]]
"""A text gives start, end and confidence, from 0 to 1, of the names in it: what an NER model is wrapped in.

It must depend on the text alone, and give the same for the same text.
"""

_UPPER = "A-ZÀ-ÖØ-ÞĀĂĄĆĈĊČĎĐĒĖĘĚĜĞĢĤĪĮİĶĹĻĽŁŃŅŇŌŐŒŔŘŚŞŠȘŢȚŤŪŮŰŲŴŶŸŹŻŽ"
_LOWER = "a-zß-öø-ÿāăąćĉċčďđēėęěĝğģĥīįıķĺļľłńņňōőœŕřśşšșţțťūůűųŵŷźżžạ-ỹ"
_WORD = (
    rf"(?:(?:Mc|Mac|O'|O’|D'|D’|De|Di|La|Le|Van|Von)?[{_UPPER}][{_LOWER}]{{1,24}}(?:-[{_UPPER}][{_LOWER}]{{1,24}})?)"
)
_PARTICLE = r"(?:(?:von|van|de|der|den|di|da|do|dos|das|del|della|du|la|le|zu|zum|af|av|ter|ten|bin|al|y|e) ){0,3}"
_INITIAL = rf"(?:[{_UPPER}]\.[ \-]?)"
_SURNAME = rf"{_INITIAL}{{0,2}}{_PARTICLE}{_WORD}"

_CAPITALISED = re.compile(rf"[{_UPPER}][{_LOWER}]+")
_GIVEN_THEN = re.compile(rf"(?:[ \-]{_WORD}){{0,2}}? {_SURNAME}(?!\w)")
_SURNAME_BEFORE = re.compile(rf"(?:^|(?<=[\n;|\t(:])) ?({_PARTICLE}({_WORD})),[ ]$")
_LIST_AFTER = re.compile(rf"(?: {_INITIAL})?(?= ?(?:[\n;|\t)]|$))")
_TITLE = re.compile(
    r"(?:Herrn?|Frau|Fräulein|Mrs?\.?|Ms\.?|Miss|Mme|Mlle|Monsieur|Madame|Mademoiselle|Señora?|Sra?\.|Signora?"
    r"|Sig\.(?:ra)?|Dott\.(?:ssa)?|Dhr\.|Mevr\.|Mevrouw|Meneer|Pani?|Fru|Prof\.|Professor|Dr\.|Dipl\.-Ing\.|Ing\.|Sir|Lady|Senhora?|Rev\.)"
    rf"(?: (?:Prof\.|Dr\.|Dipl\.-Ing\.|med\.|Ing\.|h\.c\.))* ({_SURNAME}(?: {_SURNAME})?)(?!\w)"
)
_LABEL = re.compile(
    r"(?:Name|Nachname|Vorname|Ansprechpartner(?:in)?|Bearbeiter(?:in)?|Sachbearbeiter(?:in)?|Kunde|Kundin|Patient(?:in)?"
    r"|Mitarbeiter(?:in)?|Contact|Author|Customer|Employee|Attn|Technician|Nom|Auteur|Cliente?|Nombre|Autor|Nome|Autore"
    r"|Naam|Signed-off-by|Reported-by|Reviewed-by)"
    rf" ?: ?({_WORD} {_SURNAME})(?!\w)"
)


class NameRecogniser:
    """Finds names.

    Args:
        gazetteer: names that the operator wants found wherever they stand, of one or more words; see `read_gazetteer`.
        model: an NER model beside the rules.
    """

    kinds = ("name",)
    longest = LONGEST

    def __init__(self, gazetteer: Iterable[str] = (), model: NameModel | None = None) -> None:
        self._model = model
        self._listed: dict[str, list[str]] = defaultdict(list)
        for name in gazetteer:
            words = unicodedata.normalize("NFC", " ".join(name.split()))
            first = _CAPITALISED.search(words)
            if first is None or len(words) > LONGEST:
                raise UserError(
                    f"the gazetteer has a name that cannot be looked for ({len(words)} characters)",
                    hint=f"a name has a word of a capital and small letters, and at most {LONGEST} characters",
                )
            self._listed[first[0]].append(words)
        self._first_words = frozenset(self._listed)
        self._given = frozenset(_names(files("loresmith.data.privacy").joinpath("given_names.txt").read_text("utf-8")))
        self._wanted = self._given | TITLE_WORDS | LABEL_WORDS | self._first_words

    def find(self, seen: SeenText) -> Iterator[Finding]:
        text, wanted = seen.text, self._wanted
        for word in _CAPITALISED.finditer(text):
            if word[0] in wanted:
                start, end = word.span()
                if start and (text[start - 1].isalnum() or text[start - 1] in "_@"):
                    continue
                yield from self._at(text, word[0], start, end)
        if self._model:
            for start, end, confidence in self._model(text):
                if end - start <= LONGEST:
                    yield Finding(start, end, "name", confidence, "name/model")

    def _at(self, text: str, word: str, start: int, end: int) -> Iterator[Finding]:
        if word in self._first_words:
            for name in self._listed[word]:
                begin = start - name.index(word)
                last = begin + len(name)
                whole = not text[last : last + 1].isalnum() and not text[max(0, begin - 1) : begin].isalnum()
                if begin >= 0 and whole and text.startswith(name, begin):
                    yield Finding(begin, last, "name", 0.9, "name/gazetteer")
        for words, pattern, confidence, rule in (
            (TITLE_WORDS, _TITLE, 0.85, "name/title"),
            (LABEL_WORDS, _LABEL, 0.7, "name/label"),
        ):
            found = pattern.match(text, start, start + LONGEST + 40) if word in words else None
            if found and not _last_word(found[1]) & NOT_SURNAMES and found.end() - found.start(1) <= LONGEST:
                yield Finding(found.start(1), found.end(), "name", confidence, rule)
        if word not in self._given:
            return
        follows = _GIVEN_THEN.match(text, end, end + LONGEST - len(word))
        if (
            follows
            and not ORGANISATION.match(text, follows.end())
            and not set(follows[0].replace("-", " ").split()) & NOT_SURNAMES
        ):
            yield Finding(start, follows.end(), "name", 0.75, "name/given")
        after = _LIST_AFTER.match(text, end, end + 8)
        before = _SURNAME_BEFORE.search(text, max(0, start - 40), start) if after else None
        if before and after and before[2] not in NOT_SURNAMES and before[2] not in self._given:
            yield Finding(before.start(1), after.end(), "name", 0.55, "name/surname-first")


def read_gazetteer(path: Path) -> tuple[str, ...]:
    """The names in a text file in UTF-8, one a line; empty lines and those that begin with `#` do not count.

    Raises:
        UserError: there is no such file, or it is not in UTF-8.
    """
    try:
        return _names(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise UserError(
            "the gazetteer cannot be read", where=str(path), hint="name a text file, one name a line"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError("the gazetteer is not in UTF-8", where=str(path), hint="save it as UTF-8") from error


def name_model(name: str) -> NameModel:
    """The name model of that name, from the entry points `loresmith.names` of installed packages.

    Raises:
        UserError: no package offers it.
    """
    offered = {point.name: point for point in entry_points(group=NAME_MODELS)}
    if name not in offered:
        raise UserError(
            unknown_name("name model", name, offered), hint=f"install a package with an entry point in {NAME_MODELS}"
        )
    model: NameModel = offered[name].load()
    return model


def _last_word(name: str) -> set[str]:
    return set(name.replace("-", " ").split()[-1:])


def _names(listing: str) -> tuple[str, ...]:
    return tuple(sorted({line.strip() for line in listing.splitlines() if line.strip() and not line.startswith("#")}))
