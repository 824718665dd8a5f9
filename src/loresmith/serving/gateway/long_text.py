"""Long texts are worked on in a thread, so that others are answered meanwhile; for short ones that would take longer
than the work itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

_T = TypeVar("_T")

LONG_TEXT = 20_000
"""Characters, with one for each value that is no text."""


def is_long(*values: Any) -> bool:
    """Whether plain data holds a long text, or many short ones, in whatever place. Looks no further than it must."""
    left = LONG_TEXT
    found = list(values)
    while found and left >= 0:
        value = found.pop()
        if isinstance(value, str):
            left -= len(value)
            continue
        left -= 1
        if isinstance(value, Mapping):
            value = (*value.keys(), *value.values())
        if isinstance(value, Sequence):
            left -= len(value)
            found += value if left >= 0 else ()
    return left < 0


async def worked(aside: bool, work: Callable[..., _T], *given: Any) -> _T:
    """What `work` makes of what is given, in a thread if it is to be done aside."""
    return await asyncio.to_thread(work, *given) if aside else work(*given)
