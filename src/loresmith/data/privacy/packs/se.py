"""Sweden: the personnummer."""

from __future__ import annotations

from loresmith.data.privacy.checksums import is_date, is_short_date, luhn
from loresmith.data.privacy.packs.pack import NEEDS_CUE, Pack, PhonePlan, national_id


def is_personal_number(digits: str) -> bool:
    """A date of birth and four digits, of which the last is Luhn's; 60 is added to the day for those who moved in."""
    day = int(digits[-6:-4]) % 60
    if len(digits) == 12:
        if digits[:2] not in ("18", "19", "20") or not is_date(int(digits[:4]), int(digits[4:6]), day):
            return False
    elif not is_short_date(digits[:2], digits[2:4], str(day)):
        return False
    return luhn(digits[-10:])


PACK = Pack(
    "se",
    PhonePlan(
        "46",
        "0",
        r"7[02369][0-9]{7}|[1-9][0-9]{6,8}",
        (
            (r"07[02369]-[0-9]{3} [0-9]{2} [0-9]{2}", 0.8),
            (r"07[02369][ \-][0-9]{7}", 0.6),
            (r"0[1-9][0-9]{0,2}-[0-9]{2,3} [0-9]{2,3} [0-9]{2}", 0.6),
        ),
    ),
    (
        national_id(
            "se",
            "personnummer",
            {"######-####": 0.8, "########-####": 0.9, "##########": NEEDS_CUE, "############": 0.5},
            is_personal_number,
            r"personn|pnr\b|samordningsn|personal id",
        ),
    ),
)
