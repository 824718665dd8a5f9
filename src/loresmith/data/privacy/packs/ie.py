"""Ireland: the Personal Public Service number."""

from __future__ import annotations

from loresmith.data.privacy.checksums import weighted
from loresmith.data.privacy.packs.pack import Pack, PhonePlan, national_id


def is_pps(characters: str) -> bool:
    """Seven digits, a check letter, and since 2013 a letter that counts nine times."""
    total = weighted(characters[:7], range(8, 1, -1))
    if len(characters) == 9:
        total += 9 * (ord(characters[8]) - 64)
    return chr(64 + total % 23) == characters[7] or (total % 23 == 0 and characters[7] == "W")


PACK = Pack(
    "ie",
    PhonePlan("353", "0", r"8[35679][0-9]{7}|[1-9][0-9]{6,8}", ((r"08[35679] [0-9]{3} [0-9]{4}", 0.6),)),
    (national_id("ie", "pps", {"#######A": 0.45, "#######AA": 0.7}, is_pps, r"\bpps"),),
)
