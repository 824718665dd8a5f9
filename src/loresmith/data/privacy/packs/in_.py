"""India: Aadhaar. The file's name has a `_` because `in` is a word of Python."""

from __future__ import annotations

from loresmith.data.privacy.checksums import verhoeff
from loresmith.data.privacy.packs.pack import NEEDS_CUE, Pack, PhonePlan, national_id


def is_aadhaar(digits: str) -> bool:
    """Twelve digits, neither 0 nor 1 at the beginning, with Verhoeff's check digit."""
    return digits[0] not in "01" and len(set(digits)) > 2 and verhoeff(digits)


PACK = Pack(
    "in",
    PhonePlan("91", "0", r"[6-9][0-9]{9}|[1-5][0-9]{9}"),
    (
        national_id(
            "in",
            "aadhaar",
            {"#### #### ####": 0.6, "####-####-####": 0.5, "############": NEEDS_CUE},
            is_aadhaar,
            r"aadhaar|aadhar|\buid(?:ai)?\b",
        ),
    ),
)
