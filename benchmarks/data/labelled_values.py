"""Values that look like personal data and secrets, drawn at random, for the labelled set of benchmarks/data/privacy.py.

Nothing here is taken from loresmith: the check digits are computed by other means than the recognisers check them, and
the given names were written without looking at the recognisers' list.
"""

from __future__ import annotations

import base64
import datetime
import random
import string
import unicodedata

_GIVEN = """
    Anneliese Torben Hildegund Jannik Svenja Rüdiger Dörte Malte Wiebke Ottokar Leonhard Friederike Emil Greta
    Hannah Noel Winston Prudence Oliver Harriet Nigel Siobhan Callum Poppy Freya Archie Beatrix Jasper Imogen Rupert
    Charlotte George Solène Gwenaël Margaux Thibault Océane Baptiste Apolline Yannick Élodie Lucien Amandine
    Philippe Maëlle Jacques Íñigo Rocío Candela Joaquín Nerea Aitor Macarena Álvaro Itziar Gonzalo Ximena Rodrigo
    Lucía Santiago Ludovica Ottavio Fiammetta Gianmarco Beatrice Tommaso Ginevra Edoardo Giulia Leonardo Sanne Thijs
    Fleur Joost Marijke Bram Wojciech Agnieszka Zbigniew Małgorzata Piotr Jadwiga Ingrid Lars Astrid Håkon Sigrún
    Bjørn Aino Ilmari Oksana Dmytro Svitlana Mehmet Ayşe Fatima Youssef Amina Priya Arjun Lakshmi Wei Xiaoming
    Haruki Sakura Minjun Thị Chidi Ngozi Kwame Thabo
"""
_FAMILY = """
    Müller Schmidt Krüger Bäumler Weiß Hoffmann Zöllner Achterberg Lindner Kowalke Smith Featherstone Wright Oakley
    MacLeod O'Brien Hughes Ashworth Pemberton Dubois Lefèvre Moreau Garnier Beaumont Rousseau García Fernández
    Ibáñez Muñoz Quintana Rossi Bianchi Esposito Conti Marchetti Visser Bakker Hendriks Nowak Wiśniewski Lewandowski
    Johansson Lindqvist Hansen Virtanen Shevchenko Yılmaz Demir Haddad Mansour Sharma Iyer Chen Tanaka Kim Nguyen
    Okafor Mensah Dlamini
"""
GIVEN, FAMILY = _GIVEN.split(), _FAMILY.split()


def digits(draw: random.Random, count: int) -> str:
    return "".join(draw.choice(string.digits) for _ in range(count))


def letters(draw: random.Random, count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(draw.choice(alphabet) for _ in range(count))


def birthday(draw: random.Random) -> datetime.date:
    return datetime.date(1930, 1, 1) + datetime.timedelta(days=draw.randrange(27_000))


def person(draw: random.Random) -> str:
    return f"{draw.choice(GIVEN)} {draw.choice(FAMILY)}"


def email(draw: random.Random) -> str:
    words = (
        unicodedata.normalize("NFKD", word).lower().encode("ascii", "ignore").decode() for word in person(draw).split()
    )
    given, family = (word.replace("'", "") for word in words)
    name = draw.choice(
        (
            f"{given}.{family}",
            f"{given[0]}{family}",
            f"{family}{draw.randrange(100)}",
            f"{given}_{family}",
            f"{given}+news",
        )
    )
    host = draw.choice(
        (
            "example.com",
            "mail.example.org",
            "example.co.uk",
            "uni-beispiel.de",
            "beispiel.gmbh",
            "exemple.fr",
            "ejemplo.es",
        )
    )
    return f"{name}@{host}" if draw.random() < 0.9 else f"{name}@{host}".upper()


def with_luhn(payload: str) -> str:
    """The payload and the one digit that makes Luhn's sum a multiple of ten."""
    total = 0
    for place, digit in enumerate(payload[::-1]):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value if value < 10 else value - 9
    return payload + str(-total % 10)


def card(draw: random.Random) -> str:
    prefix, length = draw.choice(
        (("4", 16), ("51", 16), ("55", 16), ("2300", 16), ("37", 15), ("6011", 16), ("3530", 16), ("36", 14))
    )
    number = with_luhn(prefix + digits(draw, length - 1 - len(prefix)))
    shape = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[length]
    return grouped(number, shape, draw.choice(" -") if length == 16 else " ") if draw.random() < 0.6 else number


def grouped(text: str, shape: tuple[int, ...], separator: str) -> str:
    parts, place = [], 0
    for width in shape:
        parts.append(text[place : place + width])
        place += width
    return separator.join(parts)


def iban(draw: random.Random) -> str:
    capitals = string.ascii_uppercase
    country, account = draw.choice(
        (
            ("DE", digits(draw, 18)),
            ("FR", digits(draw, 20) + draw.choice(capitals) + digits(draw, 2)),
            ("GB", letters(draw, 4, capitals) + digits(draw, 14)),
            ("NL", letters(draw, 4, capitals) + digits(draw, 10)),
            ("ES", digits(draw, 20)),
            ("IT", draw.choice(capitals) + digits(draw, 22)),
            ("AT", digits(draw, 16)),
            ("CH", digits(draw, 17)),
            ("PL", digits(draw, 24)),
            ("BE", digits(draw, 12)),
        )
    )
    number = 0
    for character in account + country + "00":  # digit by digit, as one would on paper
        for digit in character if character.isdigit() else str(ord(character) - 55):
            number = (number * 10 + int(digit)) % 97
    whole = f"{country}{98 - number:02d}{account}"
    return " ".join(whole[place : place + 4] for place in range(0, len(whole), 4)) if draw.random() < 0.6 else whole


def phone(draw: random.Random) -> str:
    d = draw.randrange
    return draw.choice(
        (
            lambda: f"+49 {draw.choice((30, 40, 89, 221, 711, 6221))} {d(100000, 9999999)}",
            lambda: f"+49 (0){draw.choice((30, 40, 89, 221))} {d(1000, 9999)}-{d(10, 999)}",
            lambda: f"0049 1{draw.choice((51, 60, 70, 76))} {d(1000000, 9999999)}",
            lambda: f"0{draw.choice((30, 40, 89, 221, 711, 6221))}/{d(100000, 9999999)}",
            lambda: f"0{draw.choice((30, 89, 221, 5251))} {d(1000, 9999)} {d(100, 999)}",
            lambda: f"(0{draw.choice((30, 89, 221))}) {d(100000, 9999999)}",
            lambda: f"01{draw.choice((51, 60, 70, 76))}{d(1000000, 9999999)}",
            lambda: f"0{d(1, 8)} {d(10, 99)} {d(10, 99)} {d(10, 99)} {d(10, 99)}",
            lambda: f"+33 {draw.choice((1, 4, 6, 7))} {d(10, 99)} {d(10, 99)} {d(10, 99)} {d(10, 99)}",
            lambda: f"+34 6{d(10, 99)} {d(100, 999)} {d(100, 999)}",
            lambda: f"6{d(10, 99)} {d(10, 99)} {d(10, 99)} {d(10, 99)}",
            lambda: f"+39 3{d(20, 99)} {d(1000000, 9999999)}",
            lambda: f"3{d(20, 99)} {d(100, 999)} {d(1000, 9999)}",
            lambda: f"+44 7{d(400, 999)} {d(100000, 999999)}",
            lambda: f"07{d(400, 599)} {d(100000, 999999)}",
            lambda: f"020 7{d(100, 999)} {d(1000, 9999)}",
            lambda: f"({d(201, 989)}) {d(312, 410)}-{d(1000, 9999)}",
            lambda: f"{d(220, 989)}-{d(312, 410)}-{d(1000, 9999)}",
            lambda: f"+1 {d(220, 410)} {d(312, 410)} {d(1000, 9999)}",
            lambda: f"+31 6 {d(10000000, 59999999)}",
            lambda: f"06-{d(10000000, 59999999)}",
            lambda: f"+48 {d(500, 799)} {d(100, 999)} {d(100, 999)}",
            lambda: f"+81 {d(10, 99)} {d(1000, 9999)} {d(1000, 9999)}",
        )
    )()


def ip(draw: random.Random) -> str:
    kind, rest = draw.random(), [str(draw.randrange(1, 255)) for _ in range(3)]
    if kind < 0.6:
        return ".".join((str(draw.choice((5, 31, 46, 62, 78, 85, 91, 93, 141, 176, 185, 194))), *rest))
    if kind < 0.8:
        return ".".join((draw.choice(("192.168", "10.20", "172.16")), *rest[:2]))
    words = [f"{draw.randrange(4096, 65535):x}" for _ in range(2)]
    return draw.choice(("2a00:1450:{}::{}", "2003:e8:{}::{}", "2606:4700:{}::{}", "fe80::{}:{}")).format(*words)


def mac(draw: random.Random) -> str:
    octets = [draw.choice((0x00, 0x3C, 0xA4, 0xDC, 0xF0, 0x18)), *(draw.randrange(256) for _ in range(5))]
    if draw.random() < 0.15:
        joined = "".join(f"{octet:02x}" for octet in octets)
        return f"{joined[:4]}.{joined[4:8]}.{joined[8:]}"
    text = draw.choice(":-").join(f"{octet:02x}" for octet in octets)
    return text.upper() if draw.random() < 0.5 else text


def token(draw: random.Random) -> str:
    """A key with a provider's prefix, or a whole private key."""
    lower_hex = "0123456789abcdef"
    url_safe = string.ascii_letters + string.digits + "-_"
    part = base64.urlsafe_b64encode
    return draw.choice(
        (
            lambda: "AKIA" + letters(draw, 16, string.ascii_uppercase + "234567"),
            lambda: "ghp_" + letters(draw, 36),
            lambda: "github_pat_" + letters(draw, 22) + "_" + letters(draw, 59),
            lambda: "glpat-" + letters(draw, 20, url_safe[:-1]),
            lambda: "xoxb-" + digits(draw, 12) + "-" + digits(draw, 12) + "-" + letters(draw, 24),
            lambda: "sk_live_" + letters(draw, 24),
            lambda: "AIza" + letters(draw, 35, url_safe),
            lambda: "hf_" + letters(draw, 34, string.ascii_letters + "0123456789"),
            lambda: "npm_" + letters(draw, 36),
            lambda: "sk-ant-api03-" + letters(draw, 90, url_safe),
            lambda: "SG." + letters(draw, 22, url_safe) + "." + letters(draw, 43, url_safe),
            lambda: "dop_v1_" + letters(draw, 64, lower_hex),
            lambda: ".".join(
                (
                    part(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("="),
                    part(f'{{"sub":"{digits(draw, 10)}","iat":{digits(draw, 10)}}}'.encode()).decode().rstrip("="),
                    part(draw.randbytes(32)).decode().rstrip("="),
                )
            ),
            lambda: (
                "-----BEGIN PRIVATE KEY-----\n"
                + "\n".join(letters(draw, 64, string.ascii_letters + string.digits + "+/") for _ in range(12))
                + "\n-----END PRIVATE KEY-----"
            ),
        )
    )()


def password(draw: random.Random) -> str:
    """Half as people make them, half as machines do."""
    if draw.random() < 0.5:
        word = draw.choice(
            ("Sommer", "hund", "Dragon", "bücher", "Liverpool", "kaffee", "Sunshine", "Passat", "mariposa")
        )
        return word + digits(draw, draw.choice((2, 4))) + draw.choice(("", "", "!", "#", "?x"))
    return letters(draw, draw.randrange(10, 20), string.ascii_letters + string.digits + "!?$%+*-_") + draw.choice("7aQ")
