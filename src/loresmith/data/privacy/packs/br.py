"""Brazil: the CPF."""

from __future__ import annotations

from loresmith.data.privacy.checksums import weighted
from loresmith.data.privacy.packs.pack import Pack, PhonePlan, national_id


def is_cpf(digits: str) -> bool:
    """Nine digits and two that check them modulo 11."""
    first = weighted(digits, range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(digits, range(11, 1, -1)) * 10 % 11 % 10
    return len(set(digits)) > 1 and digits[9:] == f"{first}{second}"


PACK = Pack(
    "br",
    PhonePlan("55", "0", r"[1-9]{2}9?[2-9][0-9]{7}", ((r"\([1-9][1-9]\) ?9?[2-9][0-9]{3}[\- ][0-9]{4}", 0.85),)),
    (national_id("br", "cpf", {"###.###.###-##": 0.97, "###########": 0.5}, is_cpf, r"\bcpf\b"),),
)
