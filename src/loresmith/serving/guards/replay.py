"""Holds what was said before against candidate guards, and says whose fate would be another.

What is kept is what guards let pass: a match that was masked, or that ended an answer, is not there to be read again,
and of a request that was refused nothing is. Of these the record alone says what would be: a candidate of the same name
that still looks there does as its action says, if it still matches; without one, nothing is done any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from loresmith.serving.audit.record import GuardVerdict
from loresmith.serving.guards.guard import Context
from loresmith.serving.guards.guards import OVER_PARTS, UNREADABLE, Guards
from loresmith.serving.guards.output_guard import TOO_LONG, OutputGuard, Stopped
from loresmith.serving.guards.recorded import RecordedTalk
from loresmith.serving.guards.settings import Action, GuardBase, PrivacyGuard, SchemaGuard, TopicGuard, Where
from loresmith.serving.guards.verdict import FAILED, Verdict, strictest

_KIND_OF_RULE = re.compile(r"[^ /]*")


@dataclass(frozen=True)
class Place:
    """Where a rule of a guard matched."""

    where: Where
    role: str
    guard: str
    rule: str


@dataclass(frozen=True)
class Flip:
    """A rule of a guard that would do something else.

    Attributes:
        place: which, and where.
        was, would: what it asked for, and what it would; `allow` also where it does not match.
        read: whether the candidate found, or did not find, it in what was said; else the record says so.
    """

    place: Place
    was: Action
    would: Action
    read: bool


@dataclass(frozen=True)
class Turned:
    """A request in which something would be another.

    Attributes:
        talk: the request.
        was, would: what became of it, and what would, its passages aside.
        flips: why.
    """

    talk: RecordedTalk
    was: Action
    would: Action
    flips: tuple[Flip, ...]


@dataclass(frozen=True)
class GuardReplay:
    """What candidate guards do to what was said.

    Attributes:
        read: how many requests they read.
        partly: of these, those of which something is missing that was masked, or that ended the answer.
        omitted: how many of which nothing was kept: by the settings, or since they were refused before.
        gone: how many whose words nobody can read any more.
        passed_over: how many that no guard was asked about.
        turned: those in which something would be another, the oldest first.
    """

    read: int
    partly: int
    omitted: int
    gone: int
    passed_over: int
    turned: tuple[Turned, ...]


def replay_guards(candidate: Guards, talks: Iterable[RecordedTalk | None]) -> GuardReplay:
    """Put what was said to other guards; None is passed over."""
    counts = {"kept": 0, "omitted": 0, "gone": 0}
    passed_over = partly = 0
    turned = []
    for talk in talks:
        if talk is None:
            passed_over += 1
            continue
        counts[talk.kept] += 1
        partly += talk.kept == "kept" and any(not _is_kept(verdict) for verdict in talk.verdicts)
        if (one := _Trial(candidate, talk).turned()) is not None:
            turned.append(one)
    turned.sort(key=lambda one: one.talk.at)
    return GuardReplay(counts["kept"], partly, counts["omitted"], counts["gone"], passed_over, tuple(turned))


class _Trial:
    """One request before candidate guards."""

    def __init__(self, candidate: Guards, talk: RecordedTalk) -> None:
        self._talk = talk
        self._named = {settings.called(): settings for settings in candidate.settings}
        self._settings = candidate.settings
        self._found: dict[Place, Action] = {}
        if talk.kept == "kept":
            for verdict in _verdicts(candidate, talk):
                place = Place(verdict.where, verdict.role, verdict.guard, verdict.rule)
                self._found[place] = strictest((self._found.get(place, "allow"), verdict.action))

    def turned(self) -> Turned | None:
        """What would be another; None where nothing would."""
        was: dict[Place, Action] = {}
        would = dict(self._found)
        for verdict in self._talk.verdicts:
            place = Place(cast(Where, verdict.where), verdict.role, verdict.guard, verdict.rule)
            was[place] = strictest((was.get(place, "allow"), cast(Action, verdict.action)))
            if not self._reads(verdict):
                would[place] = strictest((would.get(place, "allow"), self._by_record(verdict)))
        unread = set(would) - set(self._found)
        flips = tuple(
            Flip(place, before, after, place not in unread)
            for place in dict.fromkeys((*was, *would))
            if (before := was.get(place, "allow")) != (after := would.get(place, "allow"))
        )
        return Turned(self._talk, _decided(was), _decided(would), flips) if flips else None

    def _reads(self, verdict: GuardVerdict) -> bool:
        """Whether the candidate can look for itself what it makes of a match."""
        if self._talk.kept != "kept" or not _is_kept(verdict):
            return False
        settings = self._named.get(verdict.guard)
        if isinstance(settings, SchemaGuard) and settings.file is None:
            return False  # the schema that a request asks for is not on the record
        # What sent a request to another model may have been masked by another guard.
        told = (verdict.where, verdict.role)
        masked = any(each.action == "redact" and (each.where, each.role) == told for each in self._talk.verdicts)
        return verdict.action == "allow" or not masked

    def _by_record(self, verdict: GuardVerdict) -> Action:
        """What would be done about a match that cannot be looked at, if it still is one."""
        there = [settings for settings in self._settings if verdict.where in settings.on]
        if verdict.rule == UNREADABLE:  # a picture, which the first guard refuses that does anything
            return "refuse" if any(settings.action != "allow" for settings in there) else "allow"
        if verdict.rule == TOO_LONG:
            return "refuse" if there else "allow"
        settings = self._named.get(verdict.guard)
        if settings is None or settings not in there or not _looks_for(settings, verdict.rule):
            return "allow"
        if verdict.rule == FAILED or (verdict.rule.endswith(OVER_PARTS) and settings.action == "redact"):
            return "refuse"
        return settings.action


def _is_kept(verdict: GuardVerdict) -> bool:
    """Whether what matched still stands in what is kept."""
    return verdict.action == "allow" or (verdict.action == "route" and verdict.where in ("input", "tool"))


def _looks_for(settings: GuardBase, rule: str) -> bool:
    """Whether a guard looks for that at all. What the phrases of another deny-list were cannot be known."""
    special = rule == FAILED
    kind = _KIND_OF_RULE.match(rule)
    if isinstance(settings, PrivacyGuard) and kind is not None and not special:
        return kind[0] in settings.finds
    if isinstance(settings, TopicGuard) and settings.topics and not special:
        return rule.partition(" (")[0] in settings.topics
    return True


def _decided(actions: dict[Place, Action]) -> Action:
    """What becomes of a request; a passage that is refused is left out, and ends nothing."""
    return strictest(action for place, action in actions.items() if place.where != "retrieved")


def _verdicts(candidate: Guards, talk: RecordedTalk) -> Iterator[Verdict]:
    """What candidates find in a request, its passages and its answer."""
    shown = [text for passage in talk.passages for text in (passage.text, passage.name)]
    context = Context(
        labels=frozenset(talk.record.labels),
        passages=[passage.text for passage in talk.passages],
        tools={tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in talk.tools},
    )
    yield from candidate.examine(talk.messages, talk.tools, shown, context).verdicts
    for answer in talk.answers:
        ended = talk.ended and "refusal" not in answer
        yield from _of_stream(candidate.output(context), str(answer.get("content") or ""), ended)
        for call in answer.get("tool_calls") or ():
            function = call["function"]
            yield from _of_stream(candidate.output(context, tool=function["name"]), function["arguments"], whole=True)


def _of_stream(guard: OutputGuard, text: str, whole: bool) -> Sequence[Verdict]:
    """What is found in a text; in one that broke off, only what nothing that followed could change."""
    try:
        guard.feed(text)
        if whole:
            guard.finish()
    except Stopped as stopped:
        return stopped.verdicts
    return guard.verdicts
