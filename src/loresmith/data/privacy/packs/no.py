"""Norway: the fødselsnummer."""

from __future__ import annotations

from loresmith.data.privacy.checksums import is_short_date, weighted
from loresmith.data.privacy.packs.pack import Pack, PhonePlan, national_id


def is_birth_number(digits: str) -> bool:
    """Date of birth (40 added to the day of those without one), order, and two check digits modulo 11."""
    if not is_short_date(digits[4:6], digits[2:4], str(int(digits[:2]) % 40)):
        return False
    first = weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11
    second = weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11
    return first == 0 and second == 0


PACK = Pack(
    "no",
    PhonePlan("47", "", r"[2-9][0-9]{7}", ((r"[49][0-9]{2} [0-9]{2} [0-9]{3}", 0.4),)),
    (
        national_id(
            "no",
            "fodselsnummer",
            {"###### #####": 0.8, "###########": 0.6},
            is_birth_number,
            r"f.dselsn|personn|d-nummer",
        ),
    ),
)
