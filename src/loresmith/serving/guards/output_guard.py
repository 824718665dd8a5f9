"""Guards an answer while it is written: what may go out goes out, what may become a match is held back.

An answer is looked at whenever it has grown to certain lengths, which depend on what was found before and not on how
it came in pieces: the same answer is guarded in the same way whether it is streamed or not.
"""

from __future__ import annotations

from collections.abc import Sequence

from loresmith.serving.guards.guard import Context, Hit, Reading
from loresmith.serving.guards.named_guard import GuardFailed, NamedGuard
from loresmith.serving.guards.redaction import redacted
from loresmith.serving.guards.settings import REFUSED, Action, GuardBase, Where
from loresmith.serving.guards.verdict import FAILED, Tally, Verdict, strictest
from loresmith.serving.guards.views import Views, last_seen, open_end

STRIDE = 64
"""Characters that an answer grows before it is looked at again."""

SETTLED = 32
"""Characters behind a match after which nothing changes it any more."""

HELD_AT_MOST = 1 << 18
"""Characters that are held back at most; an answer that may be a match for longer is refused."""

_ROLE = "assistant"
TOO_LONG = "held back too long"


class Stopped(Exception):
    """An answer may not go on.

    Attributes:
        verdicts: what was found in it.
        text: what had passed in this call before; it may still go out.
    """

    def __init__(self, verdicts: tuple[Verdict, ...], text: str) -> None:
        super().__init__("a guard stopped the answer")
        self.verdicts = verdicts
        self.text = text


class Refused(Stopped):
    """It is refused.

    Attributes:
        message: what the caller reads.
    """

    def __init__(self, message: str, verdicts: tuple[Verdict, ...], text: str) -> None:
        super().__init__(verdicts, text)
        self.message = message


class NeedsPerson(Refused):
    """A person has to decide; until then it is refused."""


class Rerouted(Stopped):
    """Another model is to answer.

    Attributes:
        route: its name.
    """

    def __init__(self, route: str, verdicts: tuple[Verdict, ...], text: str) -> None:
        super().__init__(verdicts, text)
        self.route = route


class OutputGuard:
    """Guards one stream of an answer.

    Args:
        guards: that look at it.
        context: of the request.
        tally: counts what is found.
        where: what the stream is.
        tool: of the arguments of a tool call, the tool's name.

    Attributes:
        judges_whole: whether it judges whole answers, which may take long.
        bytes_read: bytes, in UTF-8, of what the model wrote and this was given.
        bytes_scanned: bytes of what was cleared, as it may go out.
        bytes_emitted: bytes of what was handed out; at any time what was scanned.
    """

    def __init__(
        self, guards: Sequence[NamedGuard], context: Context, tally: Tally, where: Where = "output", tool: str = ""
    ) -> None:
        self._guards = tuple(guards)
        self._context = context
        self._tally = tally
        self._where = where
        self._tool = tool
        self.judges_whole = any(guard.guard.whole for guard in guards)
        self._holds_all = self.judges_whole or any(guard.settings.hold == "all" for guard in guards)
        self._hold = max((guard.guard.hold for guard in guards), default=0)
        self._left = max((guard.guard.left for guard in guards), default=0)
        self._text = ""  # from `self._left` before what is out
        self._out = 0  # how much of it is out
        self._next = STRIDE  # how long it has to be to be looked at
        self._stopped: Stopped | None = None
        self._finished = False
        self.bytes_read = 0
        self.bytes_scanned = 0
        self.bytes_emitted = 0

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What was found so far."""
        return self._tally.verdicts()

    def feed(self, text: str) -> str:
        """Take the next piece of the answer.

        Returns:
            What may go out now, which is behind what went out before.

        Raises:
            Refused, NeedsPerson, Rerouted: it may not go on, also where it was stopped before.
        """
        self._require_open()
        self.bytes_read += len(text.encode("utf-8", "surrogatepass"))
        if not self._guards:
            self.bytes_scanned = self.bytes_read
            return self._hand_out(text)
        cleared: list[str] = []
        while text:
            taken, text = text[: max(0, self._room())], text[max(0, self._room()) :]
            self._text += taken
            if len(self._text) - self._out > HELD_AT_MOST:
                self._stop(None, TOO_LONG, "", "".join(cleared))
            if len(self._text) >= self._next and not self._holds_all:
                self._clear(cleared, whole=False)
        return self._hand_out("".join(cleared))

    def finish(self) -> str:
        """The answer is at its end.

        Returns:
            What may still go out.

        Raises:
            Refused, NeedsPerson, Rerouted: it may not.
        """
        self._require_open()
        self._finished = True
        cleared: list[str] = []
        self._clear(cleared, whole=True)
        return self._hand_out("".join(cleared))

    def _room(self) -> int:
        """How much of what comes belongs to what is looked at next."""
        return max(self._next - len(self._text), 1) if not self._holds_all else HELD_AT_MOST + 1

    def _require_open(self) -> None:
        if self._stopped is not None:
            self._stopped.text = ""
            raise self._stopped
        if self._finished:
            raise ValueError("this answer is at its end")

    def _hand_out(self, text: str) -> str:
        self.bytes_emitted += len(text.encode("utf-8", "surrogatepass"))
        return text

    def _clear(self, cleared: list[str], whole: bool) -> None:
        """Look at what there is, and clear what cannot become a match any more."""
        reading = Reading(Views(self._text), self._where, self._context, whole, self._tool)
        found: list[tuple[NamedGuard, Hit]] = []
        border = len(self._text)
        for guard in self._guards:
            try:
                hits = guard.look(reading)
                border = min(border, border if whole else guard.open_from(reading))
            except GuardFailed:
                self._stop(guard.settings, FAILED, "", "".join(cleared))
            found += [(guard, hit) for hit in hits if hit.end > self._out or hit.start == hit.end]  # an empty answer
        if not whole:
            border = min(border, last_seen(reading.views, self._hold), open_end(reading.views))
            border = _outside(border, [hit for _, hit in found], len(self._text) - SETTLED)
        border = max(border, self._out)
        self._act(found, border, cleared)
        text = redacted(
            self._text,
            [hit for guard, hit in found if guard.settings.action == "redact"],
            self._out,
            border,
        )
        self.bytes_scanned += len(text.encode("utf-8", "surrogatepass"))
        cleared.append(text)
        kept = max(0, border - self._left)
        self._text, self._out = self._text[kept:], border - kept
        held = len(self._text) - self._out
        self._next = len(self._text) + max(STRIDE, held // 8)

    def _act(self, found: Sequence[tuple[NamedGuard, Hit]], border: int, cleared: Sequence[str]) -> None:
        """Count what lies before the border, and stop where a guard asks for it."""
        asked: list[tuple[Action, GuardBase]] = []
        counted: dict[str, int] = {}
        for guard, hit in sorted(found, key=lambda each: (each[1].start, -each[1].end)):
            name = guard.settings.called()
            if not (hit.sure or hit.end <= border) or hit.end <= counted.get(name, -1):
                continue  # not yet, or seen in another view
            counted[name] = hit.end
            self._count(guard.settings, hit.rule, self._text[hit.start : hit.end])
            asked.append((guard.settings.action, guard.settings))
        action = strictest(action for action, _ in asked)
        if action in ("refuse", "ask", "route"):
            self._stop(next(settings for each, settings in asked if each == action), "", "", "".join(cleared))

    def _count(self, settings: GuardBase, rule: str, matched: str) -> None:
        self._tally.add(settings.called(), self._where, _ROLE, settings.action, rule, matched)

    def _stop(self, settings: GuardBase | None, rule: str, matched: str, cleared: str) -> None:
        """Stop; a rule means that it is not for what matched, but since a guard failed or held back too much."""
        message, action = (settings.message, settings.action) if settings and not rule else (REFUSED, "refuse")
        if rule:
            name = settings.called() if settings else "guards"
            self._tally.add(name, self._where, _ROLE, "refuse", rule, matched)
        text = self._hand_out(cleared)
        if action == "route" and settings is not None:
            self._stopped = Rerouted(settings.route, self.verdicts, text)
        else:
            self._stopped = (NeedsPerson if action == "ask" else Refused)(message, self.verdicts, text)
        raise self._stopped


def _outside(border: int, hits: Sequence[Hit], settled: int) -> int:
    """The border moved to before whatever matches across it, or may still grow."""
    for hit in sorted(hits, key=lambda hit: -hit.end):
        if hit.end > border or (hit.end > settled and not hit.sure):
            border = min(border, hit.start)
    return border
