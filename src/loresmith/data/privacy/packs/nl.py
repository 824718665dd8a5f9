"""Netherlands: the burgerservicenummer."""

from __future__ import annotations

from loresmith.data.privacy.checksums import weighted
from loresmith.data.privacy.packs.pack import NEEDS_CUE, Pack, PhonePlan, national_id


def is_bsn(digits: str) -> bool:
    """The eleven test: the weights 9 to 2, and minus 1 for the last digit."""
    return len(set(digits)) > 2 and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


PACK = Pack(
    "nl",
    PhonePlan(
        "31",
        "0",
        r"6[1-58][0-9]{7}|[1-57][0-9]{8}|80[0-9]{5,8}|90[0-9]{5,8}",
        ((r"06-[0-9]{8}", 0.7), (r"06 [0-9]{8}", 0.5), (r"0[1-57][0-9]{1,2}-[0-9]{6,7}", 0.45)),
    ),
    (
        national_id(
            "nl",
            "bsn",
            {"####.##.###": 0.7, "#########": NEEDS_CUE, "### ### ###": NEEDS_CUE},
            is_bsn,
            r"\bbsn\b|burgerservice|sofi",
        ),
    ),
)
