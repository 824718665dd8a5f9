"""The time in which one request must have been answered, and who ends what takes longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self, TypeVar

from loresmith.serving.gateway.problem import Problem

_T = TypeVar("_T")

LAST_LOOK_SECONDS = 0.2
"""So long a stream may take to end after its time: the end of several answers at once takes turns of the event loop."""


class TimeLimit:
    """The limit of one request, counted from here; an asynchronous context that is left by TimeoutError when it passes.

    A stream that was cut off there could not say why it ends. So it takes the limit over, and keeps it between two of
    its pieces.

    Args:
        seconds: that the request may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._cut = asyncio.timeout(seconds)
        self._until = asyncio.get_running_loop().time() + seconds

    async def __aenter__(self) -> Self:
        await self._cut.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._cut.__aexit__(kind, error, trace)

    @property
    def passed(self) -> bool:
        """Whether the context was cut off, or is just being cut off."""
        return self._cut.expired()

    def problem(self) -> Problem:
        """What the caller is told, and why as on the record."""
        message = f"this took longer than {self._seconds:g} seconds"
        return Problem(408, message, code="timeout", reason="the time limit")

    def take_over(self) -> None:
        """The context does not cut anything off any more; `keep` does."""
        self._cut.reschedule(None)

    async def keep(self, pieces: AsyncGenerator[_T]) -> AsyncGenerator[_T]:
        """The pieces that come in time, and the one that is there when it is over.

        Raises:
            Problem: there are more of them.
        """
        late = False
        while not late:  # a last look: perhaps the last piece is out, and only the end was not asked for
            now = asyncio.get_running_loop().time()
            late = now >= self._until
            try:
                async with asyncio.timeout_at(now + LAST_LOOK_SECONDS if late else self._until):
                    piece = await anext(pieces, None)
            except TimeoutError:
                break
            if piece is None:
                return
            yield piece
        raise self.problem()
