"""A stream may take its time, and is cut off between two pieces only where there are more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.time_limit import TimeLimit
from loresmith.serving.gateway.together import together

LIMIT = 600.0


class Jumping(asyncio.SelectorEventLoop):
    """An event loop on which time passes at once, however slow the machine is."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


async def said(pieces: list[str], waits: int | None) -> AsyncGenerator[str]:
    for number, piece in enumerate(pieces):
        if number == waits:
            await asyncio.Event().wait()
        yield piece


def kept(source: list[list[str]], slow: int, *, waits: bool = False) -> tuple[list[str], int]:
    """What a caller gets who takes too long over one piece, and the status in the end.

    Args:
        source: the pieces of one stream, or of several together.
        slow: after so many pieces.
        waits: whether the pieces after that are not there yet.
    """

    async def run() -> tuple[list[str], int]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Jumping)
        limit = TimeLimit(LIMIT)
        streams = [said(pieces, slow if waits else None) for pieces in source]
        pieces = streams[0] if len(streams) == 1 else together(streams)
        got = []
        try:
            async for piece in limit.keep(pieces):
                got.append(piece)
                if len(got) == slow:
                    loop.ahead += LIMIT + 1
        except Problem as problem:
            return got, problem.status
        finally:
            await pieces.aclose()
        return got, 200

    with asyncio.Runner(loop_factory=Jumping) as runner:
        return runner.run(run())


@pytest.mark.parametrize("source", [[["a", "b"]], [["a", "b"], ["c", "d"]]])
def test_a_stream_of_which_all_is_out_ends_well_however_late(
    source: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loresmith.serving.gateway.time_limit.LAST_LOOK_SECONDS", 60)
    got, status = kept(source, slow=sum(map(len, source)))
    assert (sorted(got), status) == (sorted(piece for pieces in source for piece in pieces), 200)


@pytest.mark.parametrize("waits", [False, True])
def test_a_stream_of_which_there_is_more_is_cut_off(waits: bool) -> None:
    letters = list("abcdef")
    got, status = kept([letters], slow=3, waits=waits)
    assert status == 408
    assert got == letters[: 3 if waits else 4]  # one that was there already goes out, as the record says it did
