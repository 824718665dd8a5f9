"""Who is next, when more ask than can be served: deficit round robin between groups (Shreedhar, Varghese 1995).

Each group has a queue of its own and in its turn gets credit for some tokens, in proportion to its share; it is served
as long as its credit lasts. So a group with a thousand waiting requests takes no more of the machine than one with ten,
and one with long requests no more than one with short ones.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

TURN_TOKENS = 1024
"""Credit that a turn brings to a group with a share of 1. Less is fairer over short times, and takes more turns."""


class QueueFull(Exception):
    """Too many of this group are waiting."""


@dataclass(eq=False)
class _Waiting:
    cost: int
    places: int
    turn: asyncio.Future[None]


@dataclass
class _Line:
    """One group's queue."""

    share: int
    waiting: deque[_Waiting] = field(default_factory=deque)
    credit: int = 0
    had_its_turn: bool = False


class FairQueue:
    """So many at once; the rest wait.

    Args:
        running: how many at once; may be changed at any time.
        waiting: how many of one group may wait; may be changed, too.
    """

    def __init__(self, running: int, waiting: int) -> None:
        self.running = running
        self.waiting = waiting
        self.at_work = 0
        self._lines: dict[str, _Line] = {}
        self._order: deque[str] = deque()

    def waiting_of(self, group: str) -> int:
        """How many of a group are waiting."""
        return len(self._lines[group].waiting) if group in self._lines else 0

    def is_full(self, group: str) -> bool:
        """Whether `enter` would raise QueueFull."""
        return (self.at_work >= self.running or bool(self._lines)) and self.waiting_of(group) >= self.waiting

    async def enter(self, group: str, share: int, cost: int, patience_seconds: float, places: int = 1) -> None:
        """Wait for one's turn; `leave` must be called after it.

        Args:
            share: the group's share of the machine, relative to the others'.
            cost: tokens that this will take.
            places: how many of those at once it counts as. One free place is enough to begin, or whoever needs one
                would always be before it; so there may be some more at once than `running` says.

        Raises:
            QueueFull: too many of this group are waiting.
            TimeoutError: the turn did not come in time.
        """
        if self.is_full(group):
            raise QueueFull
        if self.at_work < self.running and not self._lines:
            self.at_work += places
            return
        waiting = _Waiting(max(1, cost), places, asyncio.get_running_loop().create_future())
        self._line(group, share).waiting.append(waiting)
        self._serve()
        try:
            async with asyncio.timeout(patience_seconds):
                await waiting.turn
        except (TimeoutError, asyncio.CancelledError):
            if waiting.turn.done() and not waiting.turn.cancelled():
                self.leave(places)  # the turn came at the very moment at which the caller gave up
            else:
                self._forget(group, waiting)
            raise

    def leave(self, places: int = 1) -> None:
        """Make room for the next."""
        self.at_work -= places
        self._serve()

    def resize(self, running: int, waiting: int) -> None:
        """Change the limits; nobody who runs or waits is turned away."""
        self.running, self.waiting = running, waiting
        self._serve()

    def _line(self, group: str, share: int) -> _Line:
        if group not in self._lines:
            self._lines[group] = _Line(share)
            self._order.append(group)
        self._lines[group].share = share
        return self._lines[group]

    def _forget(self, group: str, waiting: _Waiting) -> None:
        line = self._lines.get(group)
        if line is not None and waiting in line.waiting:
            line.waiting.remove(waiting)
            if not line.waiting:
                self._close(group)

    def _close(self, group: str) -> None:
        """An empty queue keeps no credit: nobody saves up turns by not asking."""
        del self._lines[group]
        self._order.remove(group)

    def _serve(self) -> None:
        while self.at_work < self.running and self._order:
            group = self._order[0]
            line = self._lines[group]
            if line.waiting[0].turn.cancelled():  # gave up, and has not run since
                self._forget(group, line.waiting[0])
                continue
            if not line.had_its_turn:
                line.credit += TURN_TOKENS * line.share
                line.had_its_turn = True
            if line.waiting[0].cost > line.credit:
                line.had_its_turn = False
                self._order.rotate(-1)
                continue
            first = line.waiting.popleft()
            line.credit -= first.cost
            self.at_work += first.places
            first.turn.set_result(None)
            if not line.waiting:
                self._close(group)
