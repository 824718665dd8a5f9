"""National ids drawn at random with check digits as their issuers describe them; apart from loresmith's own checks."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

from benchmarks.data.labelled_values import birthday, digits, grouped, letters, with_luhn

Maker = Callable[[random.Random], str]


def first_that(tries: Callable[[int], str], good: Callable[[str], bool]) -> str:
    """The first of a hundred candidates whose check comes out: no formula to share with a recogniser."""
    return next((candidate for number in range(100) if good(candidate := tries(number))), "")


def drawn(draw: random.Random, maker: Callable[[random.Random], str]) -> str:
    """A candidate that is not empty; some payloads have no check digit."""
    while not (made := maker(draw)):
        pass
    return made


def de_tax(draw: random.Random) -> str:
    kept = draw.sample(string.digits, 9)
    payload = [*kept, draw.choice(kept)]
    draw.shuffle(payload)
    if payload[0] == "0":
        return ""
    carry = 10
    for digit in payload:
        carry = ((int(digit) + carry) % 10 or 10) * 2 % 11
    number = "".join(payload) + str((11 - carry) % 10)
    return grouped(number, (2, 3, 3, 3), " ") if draw.random() < 0.6 else number


def de_pension(draw: random.Random) -> str:
    born, letter = birthday(draw), draw.choice(string.ascii_uppercase)
    front = f"{draw.randrange(10, 70)}{born:%d%m%y}"
    serial = f"{draw.randrange(1, 99):02d}"
    spelled = front + str(string.ascii_uppercase.index(letter) + 1).zfill(2) + serial
    sums = [int(digit) * factor for digit, factor in zip(spelled, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True)]
    check = sum(int(digit) for value in sums for digit in str(value)) % 10
    return draw.choice((f"{front[:2]} {front[2:]} {letter} {serial}{check}", f"{front}{letter}{serial}{check}"))


def fr_nir(draw: random.Random) -> str:
    born = birthday(draw)
    place = f"{draw.choice((75, 13, 69, 33, 59))}{draw.randrange(1, 400):03d}"
    front = f"{draw.choice('12')}{born:%y%m}{place}{draw.randrange(1, 999):03d}"
    number = first_that(
        lambda number: f"{front}{number + 1:02d}", lambda whole: (int(whole[:13]) + int(whole[13:])) % 97 == 0
    )
    return draw.choice((number, grouped(number, (1, 2, 2, 2, 3, 3, 2), " ")))


def es_dni(draw: random.Random) -> str:
    number = draw.randrange(10_000_000, 99_999_999)
    letter = "TRWAGMYFPDXBNJZSQVHLCKE"[number - number // 23 * 23]
    return draw.choice((f"{number}{letter}", f"{number}-{letter}"))


def it_cf(draw: random.Random) -> str:
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    born = birthday(draw)
    body = (
        letters(draw, 6, "BCDFGLMNPRSTVZ")
        + f"{born:%y}{'ABCDEHLMPRST'[born.month - 1]}{born.day + draw.choice((0, 40)):02d}"
    )
    body += draw.choice("ABFGHL") + digits(draw, 3)
    total = 0
    for place, character in enumerate(body, 1):
        value = int(character) if character.isdigit() else string.ascii_uppercase.index(character)
        total += odd[value] if place % 2 else value
    return body + string.ascii_uppercase[total % 26]


def gb_nino(draw: random.Random) -> str:
    number = draw.choice(("AB", "CE", "JR", "PX", "SK", "WL")) + digits(draw, 6) + draw.choice("ABCD")
    return draw.choice((number, grouped(number, (2, 2, 2, 2, 1), " ")))


def gb_nhs(draw: random.Random) -> str:
    front = str(draw.randrange(400_000_000, 799_999_999))
    number = first_that(
        lambda check: f"{front}{check % 10}",
        lambda whole: sum(int(digit) * (10 - place) for place, digit in enumerate(whole)) % 11 == 0,
    )
    return number and draw.choice((number, grouped(number, (3, 3, 4), " ")))


def us_ssn(draw: random.Random) -> str:
    return f"{draw.randrange(100, 660):03d}-{draw.randrange(10, 99):02d}-{draw.randrange(1000, 9999):04d}"


def nl_bsn(draw: random.Random) -> str:
    front = str(draw.randrange(10_000_000, 39_999_999))
    total = sum(int(digit) * (9 - place) for place, digit in enumerate(front))
    return f"{front}{total % 11}" if total % 11 < 10 else ""


def be_national(draw: random.Random) -> str:
    born = birthday(draw)
    front = f"{born:%y%m%d}{draw.randrange(1, 998):03d}"
    number = f"{front}{97 - int(('2' if born.year >= 2000 else '') + front) % 97:02d}"
    return f"{number[:2]}.{number[2:4]}.{number[4:6]}-{number[6:9]}.{number[9:]}" if draw.random() < 0.7 else number


def pl_pesel(draw: random.Random) -> str:
    born = birthday(draw)
    front = f"{born:%y}{born.month + (20 if born.year >= 2000 else 0):02d}{born:%d}{digits(draw, 4)}"
    control = sum(int(digit) * factor for digit, factor in zip(front, (9, 7, 3, 1, 9, 7, 3, 1, 9, 7), strict=True)) % 10
    return front + str(control)


def se_personal(draw: random.Random) -> str:
    born = birthday(draw)
    number = with_luhn(f"{born:%y%m%d}{digits(draw, 3)}")
    return draw.choice((f"{number[:6]}-{number[6:]}", f"{born:%Y}{number[2:6]}-{number[6:]}"))


def ch_ahv(draw: random.Random) -> str:
    front = "756" + digits(draw, 9)
    check = -sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(front)) % 10
    return grouped(front + str(check), (3, 4, 4, 2), ".")


def at_svnr(draw: random.Random) -> str:
    serial, born = str(draw.randrange(100, 999)), birthday(draw)
    date = f"{born:%d%m%y}"
    total = (
        sum(int(digit) * factor for digit, factor in zip(serial + date, (3, 7, 9, 5, 8, 4, 2, 1, 6), strict=True)) % 11
    )
    return draw.choice((f"{serial}{total} {date}", f"{serial}{total}{date}")) if total < 10 else ""


def pt_nif(draw: random.Random) -> str:
    front = draw.choice("123") + digits(draw, 7)
    total = sum(int(digit) * factor for digit, factor in zip(front, range(9, 1, -1), strict=True))
    return front + str(0 if total % 11 < 2 else 11 - total % 11)


def in_aadhaar(draw: random.Random) -> str:
    """Verhoeff's digit by multiplying in the dihedral group, written as rotations and reflections of a pentagon."""

    def times(left: int, right: int) -> int:
        if left < 5:
            return (left + right) % 5 if right < 5 else 5 + (left + right) % 5
        return 5 + (left - right) % 5 if right < 5 else (left - right) % 5

    step = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)

    def permuted(digit: int, times_: int) -> int:
        for _ in range(times_ % 8):
            digit = step[digit]
        return digit

    def check(whole: str) -> int:
        value = 0
        for place, digit in enumerate(reversed(whole)):
            value = times(value, permuted(int(digit), place))
        return value

    front = draw.choice("23456789") + digits(draw, 10)
    number = first_that(lambda digit: f"{front}{digit % 10}", lambda whole: check(whole) == 0)
    return draw.choice((number, grouped(number, (4, 4, 4), " ")))


def br_cpf(draw: random.Random) -> str:
    number = digits(draw, 9)
    for _ in range(2):
        total = sum(int(digit) * weight for digit, weight in zip(reversed(number), range(2, 12), strict=False))
        number += str(0 if total % 11 < 2 else 11 - total % 11)
    return f"{number[:3]}.{number[3:6]}.{number[6:9]}-{number[9:]}"


NATIONAL_IDS: dict[str, tuple[str, Maker]] = {
    "de": ("Steuer-ID", de_tax),
    "de2": ("Sozialversicherungsnummer", de_pension),
    "fr": ("numéro de sécurité sociale", fr_nir),
    "es": ("DNI", es_dni),
    "it": ("codice fiscale", it_cf),
    "gb": ("National Insurance number", gb_nino),
    "gb2": ("NHS number", gb_nhs),
    "us": ("SSN", us_ssn),
    "nl": ("BSN", nl_bsn),
    "be": ("rijksregisternummer", be_national),
    "pl": ("PESEL", pl_pesel),
    "se": ("personnummer", se_personal),
    "ch": ("AHV-Nummer", ch_ahv),
    "at": ("SVNR", at_svnr),
    "pt": ("NIF", pt_nif),
    "in": ("Aadhaar", in_aadhaar),
    "br": ("CPF", br_cpf),
}
"""What people call it, and how to draw one; where a country has two, the second has a 2 behind its code."""
