"""All recognisers together: a text to what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from loresmith.data.privacy.cards import CARD
from loresmith.data.privacy.email_addresses import EmailRecogniser
from loresmith.data.privacy.findings import Finding, settle
from loresmith.data.privacy.ibans import IbanRecogniser
from loresmith.data.privacy.names import NameRecogniser, name_model
from loresmith.data.privacy.network import IpRecogniser, MacRecogniser
from loresmith.data.privacy.numbers import NumberRecogniser
from loresmith.data.privacy.packs import PACKS
from loresmith.data.privacy.phones import PhoneRecogniser
from loresmith.data.privacy.rules import KINDS, PrivacyRules
from loresmith.data.privacy.secrets import SecretRecogniser
from loresmith.data.privacy.seen_text import SeenText
from loresmith.errors import UserError
from loresmith.nearest import unknown_name


class Recogniser(Protocol):
    """Finds some kinds of things in a text, without a memory of other texts.

    Attributes:
        kinds: of its findings.
        longest: the most characters that one of its findings takes up, not counting those that nobody sees.
    """

    @property
    def kinds(self) -> tuple[str, ...]: ...

    @property
    def longest(self) -> int: ...

    def find(self, seen: SeenText) -> Iterator[Finding]:
        """Findings in any order, which may overlap; their offsets are those of `seen.text`."""
        ...


class Recognisers:
    """The recognisers that some rules ask for.

    Attributes:
        kinds: what they find, sorted.
        longest: the most characters that a finding takes up, not counting those that nobody sees.
        each: the recognisers themselves.
    """

    reach = 64
    """How many characters before a finding, and after it, may decide whether it is one."""

    def __init__(self, rules: PrivacyRules) -> None:
        """Build them.

        Raises:
            UserError: a kind, a country or a name model is not known.
        """
        for kind in rules.kinds:
            if kind not in KINDS:
                raise UserError(unknown_name("kind of finding", kind, KINDS))
        for country in rules.countries:
            if country not in PACKS:
                raise UserError(unknown_name("country pack", country, PACKS))
        self.kinds = tuple(sorted(set(rules.kinds)))
        self.each = tuple(_recognisers(rules))
        self.longest = max((recogniser.longest for recogniser in self.each), default=0)
        self._minimum = rules.minimum_confidence

    def find(self, text: str) -> list[Finding]:
        """What is in a text: sorted, without overlaps; the longest wins, then the most confident."""
        seen = SeenText(text)
        found: list[Finding] = []
        for recogniser in self.each:
            for finding in recogniser.find(seen):
                if finding.confidence >= self._minimum and not seen.touches_mask(finding.start, finding.end):
                    start, end = seen.given(finding.start, finding.end)
                    found.append(Finding(start, end, finding.kind, finding.confidence, finding.rule))
        return settle(found)


def _recognisers(rules: PrivacyRules) -> Iterator[Recogniser]:
    kinds = set(rules.kinds)
    packs = [PACKS[country] for country in dict.fromkeys(rules.countries)]
    numbers = [CARD] if "card" in kinds else []
    if "national_id" in kinds:
        numbers += [number for pack in packs for number in pack.ids]
    if numbers:
        yield NumberRecogniser(numbers)
    if "email" in kinds:
        yield EmailRecogniser()
    if "iban" in kinds:
        yield IbanRecogniser()
    if "ip" in kinds:
        yield IpRecogniser()
    if "mac" in kinds:
        yield MacRecogniser()
    if "name" in kinds:
        yield NameRecogniser(rules.gazetteer, name_model(rules.name_model) if rules.name_model else None)
    if "phone" in kinds:
        yield PhoneRecogniser({pack.country: pack.phone for pack in packs})
    if "secret" in kinds:
        yield SecretRecogniser()
