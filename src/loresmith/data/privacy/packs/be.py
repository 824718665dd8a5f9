"""Belgium: the rijksregisternummer (numéro national)."""

from __future__ import annotations

from loresmith.data.privacy.packs.pack import Pack, PhonePlan, national_id


def is_national_number(digits: str) -> bool:
    """Date of birth, order, and 97 less their remainder by 97; for those born since 2000 with a 2 before them."""
    if not (int(digits[2:4]) % 20 <= 12 and int(digits[4:6]) <= 31):
        return False
    rest, check = digits[:9], int(digits[9:])
    return check in (97 - int(rest) % 97, 97 - int("2" + rest) % 97)


PACK = Pack(
    "be",
    PhonePlan(
        "32",
        "0",
        r"4[5-9][0-9]{7}|[1-9][0-9]{7}",
        (
            (r"04[5-9][0-9](?: [0-9]{2}){3}", 0.6),
            (r"04[5-9][0-9]/[0-9]{2}(?:[. ][0-9]{2}){2}", 0.75),
            (r"0[2-9] [0-9]{3} [0-9]{2} [0-9]{2}", 0.5),
        ),
    ),
    (
        national_id(
            "be",
            "rijksregisternummer",
            {"##.##.##-###.##": 0.95, "##.##.##-###-##": 0.9, "###########": 0.45},
            is_national_number,
            r"rijksregister|registre national|num.ro national|\binsz\b|\bniss\b|nationaal nummer",
        ),
    ),
)
