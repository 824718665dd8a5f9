"""Personal data and secrets, found by the recognisers of the data room in all ways in which a text can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from loresmith.data.privacy.names import read_gazetteer
from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.privacy.rules import PrivacyRules
from loresmith.data.privacy.secrets import LONGEST_KEY_BLOCK
from loresmith.serving.guards.guard import Hit, Reading
from loresmith.serving.guards.settings import PrivacyGuard, SecretsGuard

_LONGEST_IN_WORDS = {"name": 136, "phone": 64, "iban": 64, "secret": 96}
"""Characters of the longest match of several words; all others are one word, which is never cut where a text ends."""

_LONGEST_NUMBER = 48
_QUOTED = 640
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,48}PRIVATE KEY(?: BLOCK)?-----")
_SECRET_WORDS = (
    *("passw", "passphrase", "pwd", "kennwort", "contrase", "de passe", "wachtwoord", "senha", "senord"),
    *("secret", "token", "credential", "key"),
)
_OPEN_QUOTE = re.compile(
    rf"(?:{'|'.join(_SECRET_WORDS)})[^\n\"'`]{{0,40}}(?P<quote>[\"'`])(?:(?!(?P=quote))[^\n])*\Z", re.IGNORECASE
)


class PatternGuard:
    """Finds what recognisers know.

    Args:
        rules: what is looked for.
    """

    left = 96
    whole = False

    def __init__(self, rules: PrivacyRules) -> None:
        self._recognisers = Recognisers(rules)
        self._secrets = "secret" in rules.kinds
        self.hold = max(_LONGEST_NUMBER, *(_LONGEST_IN_WORDS.get(kind, 0) for kind in rules.kinds))

    @classmethod
    def of(cls, settings: PrivacyGuard | SecretsGuard, folder: Path) -> PatternGuard:
        """The guard of some settings.

        Raises:
            UserError: a country, a list of names or a name model is not there.
        """
        if isinstance(settings, SecretsGuard):
            return cls(PrivacyRules(kinds=("secret",), minimum_confidence=settings.minimum_confidence))
        return cls(
            PrivacyRules(
                kinds=settings.finds,
                countries=settings.countries or PrivacyRules.countries,
                gazetteer=read_gazetteer(folder / settings.names) if settings.names else (),
                name_model=settings.name_model,
                minimum_confidence=settings.minimum_confidence,
            )
        )

    def look(self, reading: Reading) -> Iterator[Hit]:
        for view in reading.views.all:
            for found in self._recognisers.find(view.text):
                rule = f"{found.rule} ({view.form})" if view.form else found.rule
                yield Hit(*view.given(found.start, found.end), rule, f"[{found.kind.upper()}]")

    def open_from(self, reading: Reading) -> int:
        given = len(reading.views.given)
        if not self._secrets:
            return given
        looks = reading.views.look
        starts = []
        begin = looks.text.rfind("-----BEGIN ", -LONGEST_KEY_BLOCK)
        if begin >= 0 and not _KEY_END.search(looks.text, begin):
            starts.append(begin)
        tail = looks.text[-_QUOTED:]
        quoted = _OPEN_QUOTE.search(tail) if _may_have_open_quote(tail) else None
        if quoted:
            starts.append(len(looks.text) - len(tail) + quoted.start())
        return looks.given(min(starts), len(looks.text))[0] if starts else given


def _may_have_open_quote(text: str) -> bool:
    """Whether `_OPEN_QUOTE` is worth trying, which takes longer."""
    if not any(quote in text for quote in "\"'`"):
        return False
    lowered = text.lower()
    return any(word in lowered for word in _SECRET_WORDS)
