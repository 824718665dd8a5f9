"""A stream may take its time, and is cut off between two pieces only where there are more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.time_limit import TimeLimit


def kept(pieces: list[str], slow: str = "", *, waits: bool = False) -> tuple[list[str], int]:
    """What a caller gets who takes long over the piece `slow`, and the status in the end.

    Args:
        waits: whether the pieces after that are not there yet.
    """

    async def said() -> AsyncGenerator[str]:
        for piece in pieces:
            yield piece
            if waits and piece == slow:
                await asyncio.sleep(10)

    async def run() -> tuple[list[str], int]:
        got = []
        limit = TimeLimit(0.1)
        try:
            async for piece in limit.keep(said()):
                got.append(piece)
                if piece == slow:
                    await asyncio.sleep(0.15)
        except Problem as problem:
            return got, problem.status
        return got, 200

    return asyncio.run(run())


def test_a_stream_of_which_all_is_out_ends_well_however_late() -> None:
    assert kept(["a", "b"], slow="b") == (["a", "b"], 200)


@pytest.mark.parametrize("waits", [False, True])
def test_a_stream_of_which_there_is_more_is_cut_off(waits: bool) -> None:
    letters = list("abcdef")
    got, status = kept(letters, slow="c", waits=waits)
    assert status == 408
    assert got == letters[: 3 if waits else 4]  # one that was there already goes out, as the record says it did
