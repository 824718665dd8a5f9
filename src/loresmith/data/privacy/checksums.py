"""Check digits: what tells a number that was issued from one that only looks like it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

_VERHOEFF_PRODUCT = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)
_VERHOEFF_PERMUTATION = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: every second digit from the right is doubled; the sum of all digits ends with 0."""
    plain = sum(map(int, digits[-1::-2]))
    doubled = sum(int("0246813579"[int(digit)]) for digit in digits[-2::-2])
    return (plain + doubled) % 10 == 0


def mod_97(characters: str) -> int:
    """ISO 7064, MOD 97-10, of digits and letters, A being 10 and Z 35."""
    return int("".join(str(int(character, 36)) for character in characters)) % 97


def mod_11_10(digits: str) -> bool:
    """ISO 7064, MOD 11,10: the last digit checks those before it."""
    product = 10
    for digit in digits[:-1]:
        total = (int(digit) + product) % 10 or 10
        product = 2 * total % 11
    return (11 - product) % 10 == int(digits[-1])


def verhoeff(digits: str) -> bool:
    """Verhoeff, "Error detecting decimal codes", 1969: the dihedral group of ten elements."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_VERHOEFF_PRODUCT[check][int(_VERHOEFF_PERMUTATION[place % 8][int(digit)])])
    return check == 0


def weighted(digits: str, weights: Sequence[int]) -> int:
    """The sum of the digits, each times its weight; digits beyond the weights do not count."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def is_date(year: int, month: int, day: int) -> bool:
    """Whether the calendar has that day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def is_short_date(year: str, month: str, day: str) -> bool:
    """Whether a year of two digits has that day, in the century before last, in the last or in this one."""
    return any(is_date(century + int(year), int(month), int(day)) for century in (1900, 2000))
