"""United States: Social Security and individual taxpayer numbers. Canada shares the telephone plan."""

from __future__ import annotations

import re

from loresmith.data.privacy.packs.pack import NEEDS_CUE, Pack, PhonePlan, national_id

_SSN = re.compile(r"(?!000|666|9)[0-9]{3}(?!00)[0-9]{2}(?!0000)[0-9]{4}")
_ITIN = re.compile(r"9[0-9]{2}(?:5[0-9]|6[0-5]|7[0-9]|8[0-8]|9[0-24-9])[0-9]{4}")
_ADVERTISED = frozenset({"078051120", "219099999", "123456789"})


def is_ssn(digits: str) -> bool:
    """Not an area or a group that was never given out, nor a number from an advertisement; there is no check digit."""
    return _SSN.fullmatch(digits) is not None and digits not in _ADVERTISED


def is_itin(digits: str) -> bool:
    """As the IRS gives them out; no check digit."""
    return _ITIN.fullmatch(digits) is not None


PACK = Pack(
    "us",
    PhonePlan(
        "1",
        "",
        r"1?[2-9](?!11)[0-9]{2}[2-9](?!11)[0-9]{6}",
        (
            (r"\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[\-. ][0-9]{4}", 0.85),
            (r"(?:1[\-. ])?[2-9][0-9]{2}-[2-9][0-9]{2}-[0-9]{4}", 0.7),
            (r"(?:1[\-. ])?[2-9][0-9]{2}\.[2-9][0-9]{2}\.[0-9]{4}", 0.6),
            (r"[2-9][0-9]{2} [2-9][0-9]{2}[ \-][0-9]{4}", 0.35),
        ),
    ),
    (
        national_id(
            "us",
            "ssn",
            {"###-##-####": 0.6, "### ## ####": NEEDS_CUE, "#########": NEEDS_CUE},
            is_ssn,
            r"\bssn\b|social sec|soc\.? sec",
        ),
        national_id(
            "us",
            "itin",
            {"###-##-####": 0.6, "#########": NEEDS_CUE},
            is_itin,
            r"\bitin\b|taxpayer|\btin\b",
        ),
    ),
)
