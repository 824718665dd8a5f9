"""Portugal: the número de identificação fiscal."""

from __future__ import annotations

from loresmith.data.privacy.checksums import weighted
from loresmith.data.privacy.packs.pack import NEEDS_CUE, Pack, PhonePlan, national_id


def is_nif(digits: str) -> bool:
    """Nine digits, checked modulo 11 with the weights 9 to 2; persons have 1, 2, 3 or 45 at the beginning."""
    if digits[0] not in "123" and digits[:2] != "45":
        return False
    check = 11 - weighted(digits, range(9, 1, -1)) % 11
    return (check if check < 10 else 0) == int(digits[8])


PACK = Pack(
    "pt",
    PhonePlan("351", "", r"9[1236][0-9]{7}|2[0-9]{8}", ((r"9[1236][0-9] [0-9]{3} [0-9]{3}", 0.4),)),
    (
        national_id(
            "pt",
            "nif",
            {"#########": NEEDS_CUE, "### ### ###": NEEDS_CUE},
            is_nif,
            r"\bnif\b|contribuinte|identifica..o fiscal",
        ),
    ),
)
