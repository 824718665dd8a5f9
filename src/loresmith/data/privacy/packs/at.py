"""Austria: the Sozialversicherungsnummer."""

from __future__ import annotations

from loresmith.data.privacy.checksums import is_short_date, weighted
from loresmith.data.privacy.packs.pack import NEEDS_CUE, Pack, PhonePlan, national_id


def is_svnr(digits: str) -> bool:
    """A serial number, its check digit modulo 11, and the date of birth."""
    if digits[0] == "0" or not is_short_date(digits[8:], digits[6:8], digits[4:6]):
        return False
    return weighted(digits, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == int(digits[3])


PACK = Pack(
    "at",
    PhonePlan(
        "43",
        "0",
        r"6[5-9][0-9]{7,10}|[1-7][0-9]{6,10}",
        ((r"06[5-9][0-9][ /\-]{1,3}[0-9]{3,8}(?: [0-9]{2,4}){0,2}", 0.6),),
    ),
    (
        national_id(
            "at",
            "svnr",
            {"#### ######": 0.55, "##########": NEEDS_CUE, "####-######": 0.5, "#### ## ## ##": 0.55},
            is_svnr,
            r"sozialvers|versicherungsn|\bsv-?nr|\bsvnr|\bvsnr",
        ),
    ),
)
