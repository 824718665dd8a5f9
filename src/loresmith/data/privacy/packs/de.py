"""Germany: Steuer-Identifikationsnummer and Sozialversicherungsnummer."""

from __future__ import annotations

from collections import Counter

from loresmith.data.privacy.checksums import is_short_date, mod_11_10
from loresmith.data.privacy.packs.pack import NEEDS_CUE, Pack, PhonePlan, national_id


def is_tax_id(digits: str) -> bool:
    """ISO 7064 MOD 11,10; of the first ten digits one is there twice or three times, and never three in a row."""
    counts = sorted(Counter(digits[:10]).values())
    if digits[0] == "0" or counts[-1] not in (2, 3) or counts[-2:] == [2, 2] or counts[-2:] == [2, 3]:
        return False
    return not any(digits[place] * 3 in digits[:10] for place in range(10)) and mod_11_10(digits)


def is_pension_number(characters: str) -> bool:
    """Area, date of birth, initial, serial number and check digit (VKVV § 4): 12 characters, the ninth a letter."""
    area, day, month, year, letter = (
        characters[:2],
        characters[2:4],
        characters[4:6],
        characters[6:8],
        characters[8:9],
    )
    if not (letter.isalpha() and (characters[:8] + characters[9:]).isdigit()) or not "02" <= area <= "99":
        return False
    if not is_short_date(year, month, str(int(day) % 50).zfill(2)):
        return False
    digits = characters[:8] + f"{ord(letter) - 64:02d}" + characters[9:11]
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    products = (int(digit) * weight for digit, weight in zip(digits, weights, strict=True))
    return sum(product // 10 + product % 10 for product in products) % 10 == int(characters[11])


def is_health_number(characters: str) -> bool:
    """§ 290 SGB V: a letter and eight digits, checked with the weights 1 and 2."""
    digits = f"{ord(characters[0]) - 64:02d}{characters[1:9]}"
    products = (int(digit) * (1 + place % 2) for place, digit in enumerate(digits))
    return sum(product // 10 + product % 10 for product in products) % 10 == int(characters[9])


PACK = Pack(
    "de",
    PhonePlan(
        "49",
        "0",
        r"1[5-7][0-9]{8,9}|(?:[3468]0|89|69|2[0-9]|3[3-9]|4[1-9]|5[1-9]|6[1-8]|7[0-9]|8[1-8]|9[0-9])[0-9]{4,9}",
        (
            (r"01[5-7][0-9]{1,2}[ /\-]{1,3}[0-9]{3,8}(?:[ \-][0-9]{2,5}){0,3}", 0.7),
            (r"01(?:5[0-9]|6[023]|7[0-9])[0-9]{7,8}", 0.5),
            (r"\(0[2-9][0-9]{1,4}\) ?[0-9]{2,8}(?:[ \-][0-9]{1,5}){0,3}", 0.75),
            (r"0[2-9][0-9]{1,4} ?/ ?[0-9]{3,8}(?:[ \-][0-9]{1,5}){0,3}", 0.6),
            (r"0[2-9][0-9]{1,4} [0-9]{2,8}(?:[ \-][0-9]{1,5}){0,3}", 0.35),
            (r"0[2-9][0-9]{1,4}-[0-9]{4,8}(?:-[0-9]{1,4})?", 0.35),
        ),
    ),
    (
        national_id(
            "de",
            "steuer-id",
            {"## ### ### ###": 0.9, "###########": 0.6, "##/###/###/###": 0.6},
            is_tax_id,
            r"steuer|identifikationsn|\bidnr|\btin\b|tax id|\bst\.?-?id",
        ),
        national_id(
            "de",
            "sozialversicherungsnummer",
            {"## ###### A ###": 0.9, "########A###": 0.85, "## ###### A ## #": 0.9, "## ## ## ## A ## #": 0.85},
            is_pension_number,
            r"sozialvers|rentenvers|versicherungsn|\bsv-?nr|\bsvnr|\brvnr|\bvsnr",
        ),
        national_id(
            "de",
            "krankenversichertennummer",
            {"A#########": NEEDS_CUE},
            is_health_number,
            r"krankenvers|versichertenn|\bkvnr|kassennummer|gesundheitskarte",
        ),
    ),
)
