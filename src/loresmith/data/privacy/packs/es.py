"""Spain: DNI and NIE."""

from __future__ import annotations

from loresmith.data.privacy.packs.pack import Pack, PhonePlan, national_id

_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def is_dni(characters: str) -> bool:
    """Eight digits and the letter of their remainder by 23."""
    return characters[:8] != "00000000" and _LETTERS[int(characters[:8]) % 23] == characters[8]


def is_nie(characters: str) -> bool:
    """As a DNI, with X, Y or Z for the first digit."""
    return characters[0] in "XYZ" and is_dni(str("XYZ".index(characters[0])) + characters[1:])


_CUES = r"\bdni\b|\bd\.n\.i|\bnif\b|\bnie\b|documento|identidad|identificaci"

PACK = Pack(
    "es",
    PhonePlan(
        "34",
        "",
        r"[6-9][0-9]{8}",
        (
            (r"[67][0-9]{2}(?: [0-9]{2}){3}", 0.55),
            (r"9[1-8][0-9](?: [0-9]{2}){3}", 0.5),
            (r"[679][0-9]{2} [0-9]{3} [0-9]{3}", 0.35),
        ),
    ),
    (
        national_id(
            "es", "dni", {"########A": 0.7, "########-A": 0.8, "##.###.###-A": 0.9, "######## A": 0.4}, is_dni, _CUES
        ),
        national_id("es", "nie", {"A#######A": 0.75, "A-#######-A": 0.9, "A#######-A": 0.85}, is_nie, _CUES),
    ),
)
