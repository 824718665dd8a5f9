"""Several things that come bit by bit, as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


async def together(streams: Sequence[AsyncGenerator[_T]]) -> AsyncGenerator[_T]:
    """What all of them say, as it comes. None is asked for its next before its last was taken.

    Where this is left in the middle, or one of them breaks, all of them are closed.
    """
    awaited: dict[asyncio.Task[_T | None], AsyncGenerator[_T]] = {}
    try:
        awaited |= {asyncio.create_task(_next(stream)): stream for stream in streams}
        while awaited:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in awaited if task.done()]:
                stream = awaited.pop(task)
                said = task.result()
                if said is not None:
                    yield said
                    awaited[asyncio.create_task(_next(stream))] = stream
    finally:
        for task in awaited:
            task.cancel()
        await asyncio.gather(*awaited, return_exceptions=True)
        for stream in streams:
            await stream.aclose()


async def _next(stream: AsyncGenerator[_T]) -> _T | None:
    return await anext(stream, None)
