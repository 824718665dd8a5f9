"""Personal data and secrets as people also write them: the forms that rules are likely to let through."""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.data import labelled_values as values

Form = tuple[str, Callable[[random.Random], str], str]


def _spelled_email(draw: random.Random) -> str:
    return values.email(draw).replace("@", " [at] ").replace(".", " [dot] ")


def _broken(value: str) -> str:
    """With a line break where the middle space is, or in the middle."""
    place = value.find(" ", len(value) // 2)
    if place < 0:
        return f"{value[: len(value) // 2]}\n{value[len(value) // 2 :]}"
    return f"{value[:place]}\n{value[place + 1 :]}"


def _broken_phone(draw: random.Random) -> str:
    return _broken(f"+49 30 {draw.randrange(10**6, 10**7)}")


def _wide_card(draw: random.Random) -> str:
    return "".join(chr(ord(digit) + 0xFEE0) if digit.isdigit() else digit for digit in values.card(draw))


def _spaced_card(draw: random.Random) -> str:
    return " ".join(values.with_luhn("4" + values.digits(draw, 14)))


def _misread_iban(draw: random.Random) -> str:
    return values.iban(draw).replace("0", "O")


def _cyrillic(draw: random.Random) -> str:
    given, family = ("Анна", "Игорь", "Олена", "Тарас"), ("Петрова", "Шевченко", "Коваль", "Иванов")
    return f"{draw.choice(given)} {draw.choice(family)}"


def _words_password(draw: random.Random) -> str:
    return "-".join(draw.choice(("pumpe", "ventil", "regen", "tasse", "lampe", "kanal")) for _ in range(4))


HARD_FORMS: dict[str, Form] = {
    "e-mail with [at] and [dot]": ("email", _spelled_email, "Contact: {}"),
    "e-mail with %40": ("email", lambda draw: values.email(draw).replace("@", "%40"), "?to={}&x=1"),
    "telephone number over a line break": ("phone", _broken_phone, "Tel. {}"),
    "IBAN over a line break": ("iban", lambda draw: _broken(values.iban(draw)), "IBAN {}"),
    "IBAN read by OCR, O for 0": ("iban", _misread_iban, "IBAN {}"),
    "card, a space after each digit": ("card", _spaced_card, "card {}"),
    "full-width digits in a card": ("card", _wide_card, "card {}"),
    "zero-width spaces in an e-mail": ("email", lambda draw: "\u200b".join(values.email(draw)), "mail {}."),
    "given name alone": ("name", lambda draw: draw.choice(values.GIVEN), "Thanks, {}, that helped."),
    "family name alone": ("name", lambda draw: draw.choice(values.FAMILY), "{} will repair it on Monday."),
    "name in capitals": ("name", lambda draw: values.person(draw).upper(), "Signed: {}"),
    "name in small letters": ("name", lambda draw: values.person(draw).lower(), "ask {} about it"),
    "name in Cyrillic letters": ("name", _cyrillic, "Автор: {}"),
    "password of words": ("secret", _words_password, "password: {}"),
    "key without a prefix or a word": ("secret", lambda draw: values.letters(draw, 40), "see {} there"),
}
"""What it is called: the kind, how to draw one, and where it stands."""
