"""Names that a person may have meant, and how a sentence says them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LISTED_AT_MOST = 12
"""How many known names a message spells out when none of them is near."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when none is similar (difflib's ratio, at least 0.6, case ignored)."""
    by_folded = {candidate.casefold().replace("_", "-"): candidate for candidate in known}
    found = get_close_matches(name.casefold().replace("_", "-"), by_folded, n=1)
    return by_folded[found[0]] if found else None


def unknown_name(noun: str, name: str, known: Iterable[str], inside: str = "") -> str:
    """The house's sentence about a name that does not exist: `unknown key 'x'; did you mean 'y'?`

    Args:
        noun: what the name names: `key`, `step`, `release`.
        name: what was written.
        known: what could have been written; listed when nothing is near.
        inside: what the name was looked for in, such as `steps.base`.
    """
    said = f"unknown {noun} {name!r}{f' in {inside}' if inside else ''}"
    names = sorted(set(known))
    match = nearest(name, names)
    if match is not None:
        return f"{said}; did you mean {match!r}?"
    if not names:
        return f"{said}; none is known here"
    more = f" and {len(names) - LISTED_AT_MOST} more" if len(names) > LISTED_AT_MOST else ""
    return f"{said}; known: {', '.join(names[:LISTED_AT_MOST])}{more}"


def with_article(noun: str) -> str:
    """A kind of asset or step as a sentence has it: `an index`, `a corpus`, `a set of tokens`."""
    if noun in ("books", "documents", "tokens"):
        return f"a set of {noun}"
    return f"an {noun}" if noun[:1] in tuple("aeiou") else f"a {noun}"
