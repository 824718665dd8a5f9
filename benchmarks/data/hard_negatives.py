"""Passages as manuals, logs and source code have them that look like personal data or secrets, and are none."""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Callable

from benchmarks.data.labelled_values import birthday, digits, letters

Maker = Callable[[random.Random], str]
HEX = "0123456789abcdef"


def _part(draw: random.Random) -> str:
    number = draw.choice(
        (
            lambda: f"0 {digits(draw, 3)} {digits(draw, 3)} {digits(draw, 3)}",
            lambda: f"{letters(draw, 2, 'ABCDEFGHKLM')}-{digits(draw, 4)}-{digits(draw, 2)}",
            lambda: f"6ES7 {digits(draw, 3)}-{digits(draw, 1)}AB{digits(draw, 2)}-0AB0",
            lambda: f"{digits(draw, 4)}.{digits(draw, 4)}",
            lambda: f"A {digits(draw, 3)} {digits(draw, 3)} {digits(draw, 2)} {digits(draw, 2)}",
        )
    )()
    return draw.choice(
        ("Ersatzteil {} bestellen.", "Order part no. {} with seals.", "Pos. 4: {} (2 Stück)", "Dichtung {} ersetzen")
    ).replace("{}", number)


def _serial(draw: random.Random) -> str:
    number = draw.choice(
        (
            digits(draw, 8),
            digits(draw, 10),
            digits(draw, 12),
            f"SN{digits(draw, 9)}",
            letters(draw, 17, "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"),
        )
    )
    return draw.choice((f"Seriennummer {number}", f"Serial no.: {number}", f"S/N {number} built 2019", f"VIN {number}"))


def _isbn(draw: random.Random) -> str:
    front = "97" + draw.choice("89") + digits(draw, 9)
    check = -sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(front)) % 10
    return draw.choice(
        (
            f"ISBN {front[:3]}-{front[3]}-{front[4:8]}-{front[8:]}-{check}",
            f"ISBN-13: {front}{check}",
            f"EAN {front}{check}",
        )
    )


def _date(draw: random.Random) -> str:
    day = birthday(draw)
    clock = f"{draw.randrange(24):02d}:{draw.randrange(60):02d}:{draw.randrange(60):02d}"
    return draw.choice(
        (
            f"am {day:%d.%m.%Y} um {clock}",
            f"{day:%Y-%m-%d}T{clock}Z start",
            f"{day:%Y%m%d%H%M%S}.log",
            f"{day:%d/%m/%Y} - {day:%d/%m/%y}",
            f"epoch {draw.randrange(10**9, 2 * 10**9)}",
            f"ts={draw.randrange(10**12, 2 * 10**12)}",
        )
    )


def _version(draw: random.Random) -> str:
    numbers = ".".join(str(draw.randrange(30)) for _ in range(4))
    return draw.choice(
        (
            f"Version {numbers}",
            f"requires libfoo {numbers} or newer",
            f"firmware v{numbers}",
            f"see section {numbers}",
            f"foo=={numbers}",
            f"lodash@{numbers[:-2]}",
            f"OID 1.3.6.1.4.1.{numbers}",
            f"libstdc++-{numbers}.so",
        )
    )


def _hash(draw: random.Random) -> str:
    return draw.choice(
        (
            lambda: f"commit {letters(draw, 40, HEX)}",
            lambda: f"sha256:{letters(draw, 64, HEX)}",
            lambda: f"md5sum {letters(draw, 32, HEX)}  image.iso",
            lambda: f"id={uuid.UUID(bytes=draw.randbytes(16), version=4)}",
            lambda: f"SHA1 Fingerprint={':'.join(letters(draw, 2, '0123456789ABCDEF') for _ in range(20))}",
            lambda: f"key id {letters(draw, 16, '0123456789ABCDEF')}",
            lambda: f'integrity="sha512-{base64.b64encode(draw.randbytes(64)).decode()}"',
        )
    )()


def _coordinates(draw: random.Random) -> str:
    north, east = draw.uniform(-90, 90), draw.uniform(-180, 180)
    return draw.choice(
        (f"{north:.6f}, {east:.6f}", f"N{abs(north):.5f}° E{abs(east):.5f}°", f"POINT({east:.7f} {north:.7f})")
    )


def _order(draw: random.Random) -> str:
    number = draw.choice(
        (
            digits(draw, 9),
            digits(draw, 11),
            digits(draw, 16),
            f"{digits(draw, 4)}-{digits(draw, 6)}",
            f"R{digits(draw, 8)}",
            f"{digits(draw, 3)}-{digits(draw, 7)}-{digits(draw, 7)}",
        )
    )
    return draw.choice(
        (
            f"Auftrag {number}",
            f"Order {number} shipped",
            f"Rechnung Nr. {number}",
            f"commande n° {number}",
            f"Ticket #{number}",
        )
    )


def _table(draw: random.Random) -> str:
    return "\n".join(
        "  ".join(
            draw.choice((f"{draw.uniform(0, 1000):.2f}", str(draw.randrange(100_000)), f"{draw.uniform(-1, 1):.4e}"))
            for _ in range(8)
        )
        for _ in range(4)
    )


def _dump(draw: random.Random) -> str:
    return "\n".join(f"{place:08x}  {draw.randbytes(16).hex(' ')}" for place in range(0, 64, 16))


def _tolerance(draw: random.Random) -> str:
    d = draw.randrange
    return draw.choice(
        (
            f"{d(10, 500)} +{d(1, 99)} / -{d(1, 99)} mm",
            f"{d(1, 9)} x 0,75 mm² {d(100, 999)}-{d(100, 999)}",
            f"M{d(4, 30)}x{d(20, 200)} DIN {d(900, 7000)}",
            f"{d(100, 999)}/{d(10, 99)} R{d(13, 22)} {d(70, 110)}H",
        )
    )


def _code(draw: random.Random) -> str:
    return draw.choice(
        (
            "password = getpass.getpass()",
            "token = self.tokens[index]",
            'secret = os.environ["APP_SECRET"]',
            "def login(user: str, password: str = '') -> Token:",
            "password: <your password here>",
            "api_key = 'YOUR_API_KEY_HERE'",
            "@property\ndef key(self): return self._key",
            "std::vector<a::b> cafe::babe(dead::beef)",
            "for i in x[::2]: y = z[1:2:3]",
            'href="data:image/png;base64,' + base64.b64encode(draw.randbytes(300)).decode() + '"',
            "PASSWORD_MIN_LENGTH = 12",
            "postgres://user:password@localhost/db",
            "keyword=lambda item: item.key",
            "if token == 'string': token = next_token",
            "".join(
                f"function {letters(draw, 1)}({letters(draw, 1)}){{return {letters(draw, 2)}.{letters(draw, 3)}}}"
                for _ in range(20)
            ),
            "a@b.T @ weights",
            "background: url(img@2x.png)",
        )
    )


def _words(draw: random.Random) -> str:
    return draw.choice(
        (
            "Grace Period and Mark Up Language are set under Max Length.",
            "Das Robert Koch Institut und die Konrad Adenauer Straße liegen in Berlin.",
            "Die Obere Linke Ecke des Hauptmenüs zeigt Statusanzeige Und Bedienfeld.",
            "Frau Holle Werk 2, Halle Nord",
            "Apache Tomcat, Ruby On Rails, Visual Studio and Jenkins Pipeline",
            "Victoria Station, Charlotte Airport and Dallas Road are closed.",
            "Martin Luther University Press",
            "Total Quality Management by Continuous Improvement Teams",
            "The Art Of Computer Programming, Volume Four",
            "Open the Paint Shop Pro Settings Dialog.",
            "San Francisco, New York and Buenos Aires",
            "Bosch Rexroth, Siemens Energy und Thyssen Krupp",
        )
    )


NEGATIVES: dict[str, Maker] = {
    "part number": _part,
    "serial": _serial,
    "isbn, ean": _isbn,
    "date, time": _date,
    "version": _version,
    "hash, uuid": _hash,
    "coordinates": _coordinates,
    "order number": _order,
    "table": _table,
    "hex dump": _dump,
    "dimensions": _tolerance,
    "code": _code,
    "capitalised words": _words,
}
"""By what they are instead."""
