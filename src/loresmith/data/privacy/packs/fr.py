"""France: the numéro d'inscription au répertoire (sécurité sociale)."""

from __future__ import annotations

from loresmith.data.privacy.packs.pack import Pack, PhonePlan, national_id


def is_nir(characters: str) -> bool:
    """Sex, year, month, place of birth, order and a key of two digits, 97 less the rest; 2A and 2B are Corsica."""
    month = characters[3:5]
    if characters[0] not in "123478" or not ("01" <= month <= "12" or "20" <= month <= "42" or month >= "50"):
        return False
    number = characters[:13].replace("2A", "19", 1).replace("2B", "18", 1)
    return (number + characters[13:]).isdigit() and 97 - int(number) % 97 == int(characters[13:])


_IN_PAIRS = (
    r"(?<![0-9][0-9A-Fa-f] )(?<![A-Fa-f][0-9] )(?<![0-9A-Fa-f]{2} [0-9A-Fa-f]{2} )"
    r"0[1-9](?: [0-9]{2}){4}(?! [0-9A-Fa-f]{2}\b)"
)
"""Where no pairs of hexadecimal digits stand beside it, as in a dump."""

PACK = Pack(
    "fr",
    PhonePlan(
        "33",
        "0",
        r"[1-79][0-9]{8}|80[0-9]{7}",
        (
            (_IN_PAIRS, 0.75),
            (r"0[1-9](?:\.[0-9]{2}){4}", 0.75),
            (r"0[1-9](?:-[0-9]{2}){4}", 0.6),
        ),
    ),
    (
        national_id(
            "fr",
            "nir",
            {
                "# ## ## ## ### ### ##": 0.95,
                "# ## ## #A ### ### ##": 0.95,
                "############# ##": 0.8,
                "###############": 0.7,
                "######A########": 0.8,
                "#-##-##-##-###-###-##": 0.9,
                "#.##.##.##.###.###.##": 0.9,
            },
            is_nir,
            r"s.curit. sociale|\bnir\b|\binsee\b|num.ro de s.cu|assur. social|n. de s.cu|\bnss\b",
        ),
    ),
)
