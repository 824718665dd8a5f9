"""A run as it goes on: bars on a terminal, lines with the time of day elsewhere. All of it on standard error.

Both show for the step under way how much is done, the rate, the time left, and the numbers that the step wants seen.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from loresmith.cli.screen import duration, figure, number, short, size
from loresmith.sdk.call import Emit

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_SECONDS = 10.0
"""Seconds between two lines of progress of one step, where there is no terminal."""

PACE_SECONDS = 30.0
"""The rate is that of so many seconds past: a pause of a minute ago is forgotten."""

_NAMED = 20
"""Files that a line names."""

_OUTCOMES = {"same": "the same, bit for bit", "differs": "DIFFERS", "given": "taken as given"}

Event = Mapping[str, Any]


@contextmanager
def live_run(_request: object) -> Iterator[Emit]:
    """Show the events of a run."""
    if sys.stderr.isatty():
        with _Bars() as bars:
            yield bars.take
    else:
        yield _Lines(lambda: time.monotonic()).take


class Pace:
    """How fast a step is, from its progress events."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()
        self._unit = ""

    def add(self, event: Event) -> None:
        at = datetime.fromisoformat(event["at"]).timestamp() if "at" in event else time.time()
        another_unit = event["unit"] != self._unit
        if another_unit or (self._seen and event["done"] < self._seen[-1][1]):  # another phase, or another attempt
            self._seen.clear()
        self._unit = event["unit"]
        self._seen.append((at, event["done"]))
        while len(self._seen) > 2 and at - self._seen[1][0] > PACE_SECONDS:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """Units a second; None while that is not known."""
        if len(self._seen) < 2:
            return None
        (before, less), (now, more) = self._seen[0], self._seen[-1]
        return (more - less) / (now - before) if now > before and more > less else None

    def left(self, event: Event) -> float | None:
        """Seconds until the step is done; None while that is not known."""
        rate, total = self.rate, event.get("total")
        return (total - event["done"]) / rate if rate and total else None


def amount(event: Event) -> str:
    """How much is done: `1.2M/2.0M tokens`, or `40 % of held-out text` where a step counts its whole as 1."""
    if event.get("total") == 1:
        return f"{event['done']:.0%} of {event['unit']}"
    of = f"/{number(event['total'])}" if event.get("total") else ""
    return f"{number(event['done'])}{of} {event['unit']}"


def speed(event: Event, rate: float | None) -> str:
    """Units a second: `3.1k tokens/s`; empty where that says nothing."""
    return "" if rate is None or event.get("total") == 1 else f"{number(rate)} {event['unit']}/s"


def numbers(event: Event) -> str:
    """What the step wants seen: `loss 2.31, bits_per_byte 1.79`."""
    return ", ".join(f"{name} {figure(value)}" for name, value in event.get("numbers", {}).items())


def state(event: Event, pace: Pace) -> list[str]:
    """Everything that is worth telling of a step's progress."""
    left = pace.left(event)
    parts = (
        amount(event),
        speed(event, pace.rate),
        f"{duration(left)} left" if left is not None else "",
        numbers(event),
    )
    return [part for part in parts if part]


def _gone(event: Event) -> str:
    """What to add of files that are not there any more; nothing where all are."""
    if "gone" not in event:
        return ""
    files, first = event["gone"]["files"], event["gone"]["first"][:_NAMED]
    more = f", and {files - len(first)} more" if files > len(first) else ""
    were = "file that was read before is" if files == 1 else "files that were read before are"
    return f"; {files:,} {were} gone: {', '.join(map(repr, first))}{more}"


def sentence(event: Event) -> str | None:
    """One line on an event that is not progress; None for one that need not be told."""
    step = event.get("step")
    match event["event"]:
        case "run-started":
            return f"run {event['run']}"
        case "step-started":
            return f"{step}: started ({event['kind']})"
        case "step-cached":
            return f"{step}: cached{_gone(event)}"
        case "step-waiting":
            return f"{step}: waiting for run {event['run']}, which is at it"
        case "stopping":
            within = duration(event["seconds"])
            return f"{step}: stopping at the next safe point, within {within}; a second Ctrl-C ends it at once"
        case "step-finished":
            done = f"{step}: done in {duration(event['seconds'])}, at most {size(event['peak_bytes'])} of memory"
            return done + _gone(event)
        case "step-failed":
            return f"{step}: failed: {event['what']}"
        case "log":
            return f"{step}: {event['message']}"
        case "reproduction-started":
            steps = "1 step" if event["steps"] == 1 else f"{event['steps']} steps"
            took = duration(event["seconds"])
            return (
                f"{event['kind']} {short(event['asset'])} comes of {steps}, which took {took} when they were first done"
            )
        case "step-judged":
            because = f": {event['reason']}" if event["reason"] else ""
            return f"{step}: {_OUTCOMES[event['outcome']]}{because}"
        case "released":
            return f"released {short(event['asset'])} as {event['release']}@{event['channel']}"
    return None


class _Lines:
    """Lines for a log file. Whoever reads them may go away: the run does not end because of that."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._paces: dict[str, Pace] = {}
        self._told_at: dict[str, float] = {}

    def take(self, event: Event) -> None:
        if event["event"] != "progress":
            self._tell(sentence(event))
            return
        step = event["step"]
        pace = self._paces.setdefault(step, Pace())
        pace.add(event)
        now = self._clock()
        if now - self._told_at.setdefault(step, now) >= LINE_SECONDS:
            self._told_at[step] = now
            self._tell(f"{step}: {', '.join(state(event, pace))}")

    def _tell(self, text: str | None) -> None:
        if text is not None:
            with suppress(BrokenPipeError):
                print(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}", file=sys.stderr, flush=True)


class _Bars:
    """Bars for a terminal: one for the step under way, and a line for each that is finished."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._progress: Progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[said]}", markup=False),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._units: dict[str, str] = {}
        self._paces: dict[str, Pace] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def take(self, event: Event) -> None:
        if event["event"] == "progress":
            self._advance(event)
            return
        step = event.get("step")
        if event["event"] == "step-started":
            self._tasks[step or ""] = self._progress.add_task(step or "", total=None, said="")
        elif event["event"] in ("step-finished", "step-failed") and step in self._tasks:
            self._progress.remove_task(self._tasks.pop(step))
        said = None if event["event"] == "step-started" else sentence(event)
        if said is not None:
            style = "dim" if event["event"] == "log" else None
            self._progress.console.print(said, style=style, markup=False, soft_wrap=True)

    def _advance(self, event: Event) -> None:
        step = event["step"]
        if step in self._tasks and event["unit"] != self._units.setdefault(step, event["unit"]):
            self._progress.remove_task(self._tasks.pop(step))  # a bar of another total, or of none
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=None, said="")
        self._units[step] = event["unit"]
        pace = self._paces.setdefault(step, Pace())
        pace.add(event)
        self._progress.update(
            self._tasks[step], completed=event["done"], total=event.get("total"), said=" · ".join(state(event, pace))
        )
