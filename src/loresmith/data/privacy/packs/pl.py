"""Poland: the PESEL."""

from __future__ import annotations

from loresmith.data.privacy.checksums import is_date, weighted
from loresmith.data.privacy.packs.pack import Pack, PhonePlan, national_id

_CENTURIES = (1900, 2000, 2100, 2200, 1800)


def is_pesel(digits: str) -> bool:
    """A date of birth, whose month tells the century, and a digit that checks with the weights 1, 3, 7, 9."""
    month = int(digits[2:4])
    if not is_date(_CENTURIES[month // 20] + int(digits[:2]), month % 20, int(digits[4:6])):
        return False
    return weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


PACK = Pack(
    "pl",
    PhonePlan(
        "48",
        "",
        r"[1-9][0-9]{8}",
        ((r"[5-7][0-9]{2} [0-9]{3} [0-9]{3}", 0.35), (r"[5-7][0-9]{2}-[0-9]{3}-[0-9]{3}", 0.4)),
    ),
    (national_id("pl", "pesel", {"###########": 0.5}, is_pesel, r"pesel"),),
)
