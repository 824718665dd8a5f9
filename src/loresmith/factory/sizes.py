"""Sizes as people write them: `4GB`."""

from __future__ import annotations

import re

_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_BY_LETTERS = {unit.lower(): bytes_ for unit, bytes_ in _UNITS.items()}


def bytes_of(written: object) -> object:
    """How many bytes a size is, such as `4GB` or `1.5 GiB`. Anything but text is given back.

    Raises:
        ValueError: it is no size.
    """
    if not isinstance(written, str):
        return written
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", written)
    if found is None or found[2].lower() not in _BY_LETTERS:
        raise ValueError(f"{written!r} is no size; write a number and one of {', '.join(_UNITS)}, such as 4GB")
    return round(float(found[1]) * _BY_LETTERS[found[2].lower()])
