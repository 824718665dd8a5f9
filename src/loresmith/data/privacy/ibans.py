"""International bank account numbers: ISO 13616, by country length and MOD 97-10."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loresmith.data.privacy.checksums import mod_97
from loresmith.data.privacy.findings import Finding
from loresmith.data.privacy.seen_text import SeenText

_LENGTHS = {
    int(length): countries.split()
    for length, countries in {
        "15": "NO",
        "16": "BE",
        "18": "DK FO FK FI GL NL SD",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU MN XK",
        "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST",
        "26": "IS TR",
        "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HN HU LB NI PL SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU YE",
        "31": "MT SC",
        "32": "LC",
        "33": "RU",
    }.items()
}
LENGTHS = {country: length for length, countries in _LENGTHS.items() for country in countries}
"""Characters of an IBAN by country, as in SWIFT's IBAN registry."""

LONGEST = 33 + 32
"""Characters, with a separator after each but the last."""

_START = re.compile(r"[A-Za-z]{2}[0-9]{2}(?=[ \-.]?[A-Za-z0-9]{2})")
_BEFORE_RUN = 14  # characters from the country to the first run of six digits: `GB82 WEST 12`
_CHARACTER = re.compile(r"[ \-\n]?([A-Za-z0-9])")


def is_iban(compact: str) -> bool:
    """Whether characters without separators, in upper case, are an IBAN.

    The check digits are 98 less a remainder; 00, 01 and 99 would fit the sum as well, and are never given out.
    """
    if LENGTHS.get(compact[:2]) != len(compact) or not "02" <= compact[2:4] <= "98":
        return False
    return mod_97(compact[4:] + compact[:4]) == 1


class IbanRecogniser:
    """Finds IBANs in one piece or in groups, with a space, a hyphen or a line break between, in capitals or not."""

    kinds = ("iban",)
    longest = LONGEST

    def find(self, seen: SeenText) -> Iterator[Finding]:
        text = seen.text
        done = 0
        for run, end in seen.digits.runs:
            for start in _START.finditer(text, max(done, run - _BEFORE_RUN), end):
                done = start.end()
                country = start[0][:2].upper()
                if country not in LENGTHS or _is_word(text, start.start() - 1):
                    continue
                compact, last = "", start.start()
                while len(compact) < LENGTHS[country]:
                    character = _CHARACTER.match(text, last)
                    if character is None:
                        break
                    compact, last = compact + character[1].upper(), character.end()
                if is_iban(compact) and not _is_word(text, last):
                    yield Finding(start.start(), last, "iban", 0.98, f"iban/{country}")


def _is_word(text: str, place: int) -> bool:
    return 0 <= place < len(text) and (text[place].isalnum() or text[place] == "_")
