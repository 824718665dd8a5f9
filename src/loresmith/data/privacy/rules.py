"""What the operator wants found."""

from __future__ import annotations

from dataclasses import dataclass

from loresmith.data.privacy.packs import PACKS

KINDS = ("card", "email", "iban", "ip", "mac", "name", "national_id", "phone", "secret")
"""All that can be found."""


@dataclass(frozen=True)
class PrivacyRules:
    """What is looked for, and how sure a finding has to be.

    Attributes:
        kinds: which of `KINDS`.
        countries: whose telephone plans and national ids count, by ISO 3166 code in lower case. A national telephone
            number that several plans allow counts as one of the first.
        gazetteer: names that are found wherever they stand; see `names.read_gazetteer`.
        name_model: an NER model, by the name of its entry point in `loresmith.names`; "" for none.
        minimum_confidence: what is less sure is not a finding. 0.5 wants a check digit, a form that hardly anything
            else has, or a word nearby; 0.3 finds more and much else; 0.8 leaves little doubt.
    """

    kinds: tuple[str, ...] = KINDS
    countries: tuple[str, ...] = tuple(
        sorted(PACKS, key=lambda country: (country not in ("de", "fr", "gb", "us"), country))
    )
    gazetteer: tuple[str, ...] = ()
    name_model: str = ""
    minimum_confidence: float = 0.5
