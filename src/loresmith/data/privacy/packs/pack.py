"""The shape of a country pack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loresmith.data.privacy.numbers import Layout, NumberRule

NEEDS_CUE = 0.3
"""How sure a number alone is that too many others look like."""


@dataclass(frozen=True)
class PhonePlan:
    """A country's telephone numbers.

    Attributes:
        code: the country's calling code.
        trunk: what stands before a national number within the country; "" where nothing does.
        national: a regular expression for all digits after the code or the trunk.
        written: regular expressions for ways of writing that tell a telephone number without a word beside it,
            each with how sure that is; they begin at the first digit or the bracket before it.
    """

    code: str
    trunk: str
    national: str
    written: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Pack:
    """What is particular to a country.

    Attributes:
        country: ISO 3166 code, in lower case.
        phone: its telephone numbers.
        ids: the numbers that it gives to people.
    """

    country: str
    phone: PhonePlan
    ids: tuple[NumberRule, ...]


def national_id(
    country: str, name: str, layouts: dict[str, float], check: Callable[[str], bool], cues: str
) -> NumberRule:
    """A number that a country gives to people.

    Args:
        country: ISO 3166 code.
        name: what it is called there, in lower case with hyphens.
        layouts: how it is written, each with how sure that is without a cue; see `numbers.Layout`.
        check: see `numbers.NumberRule`.
        cues: see `numbers.NumberRule`.
    """
    written = tuple(Layout(template, alone) for template, alone in layouts.items())
    return NumberRule("national_id", f"national_id/{country}/{name}", written, check, cues)
