"""Switzerland: the AHV number."""

from __future__ import annotations

from loresmith.data.privacy.checksums import weighted
from loresmith.data.privacy.packs.pack import Pack, PhonePlan, national_id


def is_ahv(digits: str) -> bool:
    """Thirteen digits that begin with 756, the country's number, and end with the check digit of an EAN."""
    return digits.startswith("756") and weighted(digits, (1, 3) * 6 + (1,)) % 10 == 0


PACK = Pack(
    "ch",
    PhonePlan(
        "41",
        "0",
        r"[2-9][0-9]{8}",
        ((r"(?<![A-Z] )0[2-9][0-9] [0-9]{3} [0-9]{2} [0-9]{2}", 0.7), (r"0[2-9][0-9]/[0-9]{3} [0-9]{2} [0-9]{2}", 0.8)),
    ),
    (
        national_id(
            "ch",
            "ahv",
            {"###.####.####.##": 0.97, "### #### #### ##": 0.9, "#############": 0.6},
            is_ahv,
            r"\bahv|\bavs\b|sozialvers|assurance.vieillesse",
        ),
    ),
)
