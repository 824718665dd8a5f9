"""Denmark: the CPR number."""

from __future__ import annotations

from loresmith.data.privacy.checksums import is_short_date
from loresmith.data.privacy.packs.pack import NEEDS_CUE, Pack, PhonePlan, national_id


def is_cpr(digits: str) -> bool:
    """A date of birth and four digits; since 2007 numbers are given out that no check digit holds for."""
    return is_short_date(digits[4:6], digits[2:4], digits[:2])


PACK = Pack(
    "dk",
    PhonePlan("45", "", r"[2-9][0-9]{7}"),
    (national_id("dk", "cpr", {"######-####": 0.45, "##########": NEEDS_CUE}, is_cpr, r"\bcpr\b|personn"),),
)
