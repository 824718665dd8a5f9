"""Italy: the codice fiscale."""

from __future__ import annotations

from loresmith.data.privacy.packs.pack import Pack, PhonePlan, national_id

_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ),
        strict=True,
    )
)


def is_codice_fiscale(characters: str) -> bool:
    """Names, date of birth, place and a check letter (D.M. 23 December 1976); letters for digits are not seen."""
    if characters[8] not in "ABCDEHLMPRST" or not 1 <= int(characters[9:11]) % 40 <= 31:
        return False
    total = sum(_ODD[character] for character in characters[0:15:2])
    total += sum(int(character, 36) - 10 * character.isalpha() for character in characters[1:15:2])
    return chr(65 + total % 26) == characters[15]


PACK = Pack(
    "it",
    PhonePlan(
        "39",
        "",
        r"0[1-9][0-9]{4,9}|3[0-9]{8,9}",
        ((r"3[2-9][0-9] [0-9]{3} [0-9]{4}", 0.45), (r"3[2-9][0-9] [0-9]{7}", 0.45)),
    ),
    (
        national_id(
            "it",
            "codice-fiscale",
            {"AAAAAA##A##A###A": 0.97, "AAA AAA ##A## A###A": 0.97},
            is_codice_fiscale,
            r"codice fiscale|cod\. ?fisc|\bc\.?f\.?\b",
        ),
    ),
)
