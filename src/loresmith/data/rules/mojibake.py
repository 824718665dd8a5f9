"""Text that was decoded with the wrong encoding, put right in ftfy's way (Speer, "ftfy", 2019)."""

from __future__ import annotations

import re
from functools import lru_cache


def may_be_mojibake(text: str) -> bool:
    """Whether ftfy would find anything bad; where this is False it would not.

    ftfy's own test takes 200 ns a character. All it knows to be bad is a control character, one of a few letters, or a
    character of its lists beside another that is not ASCII.
    """
    return not text.isascii() and _suspect().search(text) is not None


def decoded_again(line: str) -> str:
    """A line as it was meant; itself if there is nothing to put right."""
    if not may_be_mojibake(line):
        return line
    import ftfy

    fixed = ftfy.fix_encoding(line, ftfy.TextFixerConfig(explain=False))
    return fixed if fixed.count("\n") == line.count("\n") else line


@lru_cache(maxsize=1)
def _suspect() -> re.Pattern[str]:
    from ftfy.badness import MOJIBAKE_CATEGORIES as LISTS

    harmless = {"common", "upper_common", "lower_common", "kaomoji"}
    listed = "".join(characters for name, characters in LISTS.items() if name not in harmless)
    listed += "\u0402\u00ae\u00b0\u00ba\u2122"
    alone = LISTS["c1"] + "\u0152\u0153\u00c2\u00c3"
    return re.compile(rf"[^\x00-\x7f](?:(?<=[{alone}])|(?<=[{listed}])[^\x00-\x7f]|[{listed}])")
