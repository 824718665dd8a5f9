"""What is particular to a country: how its telephone numbers are written, and which numbers it gives to people."""

from __future__ import annotations

from loresmith.data.privacy.packs import at, be, br, ch, de, dk, es, fi, fr, gb, ie, it, nl, no, pl, pt, se, us
from loresmith.data.privacy.packs import in_ as india
from loresmith.data.privacy.packs.pack import Pack

PACKS: dict[str, Pack] = {
    pack.country: pack
    for pack in (
        *(module.PACK for module in (at, be, br, ch, de, dk, es, fi, fr, gb, ie, india, it, nl, no, pl, pt, se, us)),
    )
}
"""By ISO 3166 code in lower case."""
