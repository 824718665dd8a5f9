"""Finland: the henkilötunnus."""

from __future__ import annotations

from loresmith.data.privacy.checksums import is_short_date
from loresmith.data.privacy.packs.pack import Pack, PhonePlan, national_id

_CHECKS = "0123456789ABCDEFHJKLMNPRSTUVWXY"


def is_personal_code(characters: str) -> bool:
    """Date of birth, a sign for the century, three digits, and a check character, the remainder by 31."""
    digits = characters[:6] + characters[-4:-1]
    if not digits.isdigit() or not is_short_date(digits[4:6], digits[2:4], digits[:2]):
        return False
    return _CHECKS[int(digits) % 31] == characters[-1]


PACK = Pack(
    "fi",
    PhonePlan("358", "0", r"4[0-9]{6,9}|50[0-9]{4,8}|[1-9][0-9]{5,9}", ((r"0(?:4[0-9]|50) [0-9]{3} [0-9]{4}", 0.5),)),
    (
        national_id(
            "fi",
            "henkilotunnus",
            {"######-###*": 0.9, "######A###*": 0.85},
            is_personal_code,
            r"henkil.tunnus|\bhetu\b|personbeteckning",
        ),
    ),
)
