"""United Kingdom: National Insurance and NHS numbers."""

from __future__ import annotations

import re

from loresmith.data.privacy.checksums import weighted
from loresmith.data.privacy.packs.pack import NEEDS_CUE, Pack, PhonePlan, national_id

_NINO = re.compile(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-D]")


def is_nino(characters: str) -> bool:
    """Prefixes as HMRC gives them out (NIM39110); there is no check digit."""
    return _NINO.fullmatch(characters) is not None


def is_nhs(digits: str) -> bool:
    """Ten digits, checked modulo 11 with the weights 10 to 2."""
    check = 11 - weighted(digits, range(10, 1, -1)) % 11
    return len(set(digits)) > 2 and check % 11 == int(digits[9]) and check != 10


PACK = Pack(
    "gb",
    PhonePlan(
        "44",
        "0",
        r"7[1-9][0-9]{8}|20[378][0-9]{7}|1[0-9]{8,9}|2[348][0-9]{8}|3[0347][0-9]{8}|80[08][0-9]{6,7}",
        (
            (r"07[0-9]{3} [0-9]{6}", 0.7),
            (r"07[0-9]{3} [0-9]{3} [0-9]{3}", 0.6),
            (r"\(0[12][0-9]{1,3}\) ?[0-9]{3,4} ?[0-9]{3,4}", 0.75),
            (r"020 [378][0-9]{3} [0-9]{4}", 0.7),
            (r"01[0-9]{3} [0-9]{6}", 0.45),
            (r"01[0-9]1 [0-9]{3} [0-9]{4}", 0.55),
        ),
    ),
    (
        national_id(
            "gb",
            "nino",
            {"AA ## ## ## A": 0.8, "AA######A": 0.6, "AA ###### A": 0.6, "AA-##-##-##-A": 0.7},
            is_nino,
            r"national insurance|\bni ?n|\bnino\b",
        ),
        national_id(
            "gb",
            "nhs",
            {"### ### ####": 0.45, "###-###-####": NEEDS_CUE, "##########": NEEDS_CUE},
            is_nhs,
            r"\bnhs\b|health service|patient",
        ),
    ),
)
