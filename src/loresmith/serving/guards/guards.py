"""All guards of an endpoint: what they say of a request, and a guard for each answer."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loresmith.serving.guards.conversation import Conversation
from loresmith.serving.guards.grounding import Embed
from loresmith.serving.guards.guard import Context, Hit, Reading
from loresmith.serving.guards.named_guard import GuardFailed, NamedGuard, make_guard
from loresmith.serving.guards.output_guard import OutputGuard
from loresmith.serving.guards.redaction import redacted
from loresmith.serving.guards.schema import SchemaCheck
from loresmith.serving.guards.settings import REFUSED, Action, GuardBase, GuardsSettings, Where
from loresmith.serving.guards.verdict import FAILED, Tally, Verdict, strictest
from loresmith.serving.guards.views import Views

UNREADABLE = "cannot be read"
"""The rule of a verdict on a picture or a sound."""

OVER_PARTS = " (over parts)"
"""How rules end whose match only several parts of a message together show."""


@dataclass(frozen=True)
class Examined:
    """What guards said of a request.

    Attributes:
        messages, tools, retrieved: as they may go to a model: what was to be redacted is.
        verdicts: what was found.
        action: the strictest that a guard asks for; `allow` and `redact` let the request go on.
        message: what the caller reads, where the action is `refuse` or `ask`.
        route: the served model that answers, where it is `route`.
    """

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    retrieved: list[str]
    verdicts: tuple[Verdict, ...]
    action: Action
    message: str = ""
    route: str = ""


class Guards:
    """The guards of an endpoint; it has no state that requests share.

    Args:
        guards: in their order.
        key: of the digests in verdicts; nobody who lacks it can try what matched.
    """

    def __init__(self, guards: Sequence[NamedGuard], key: bytes) -> None:
        self._guards = tuple(guards)
        self._key = key

    @classmethod
    def load(
        cls,
        settings: GuardsSettings,
        folder: Path,
        assets: Mapping[str, Path] | None = None,
        embed: Embed | None = None,
        key: bytes | None = None,
    ) -> Guards:
        """Make them.

        Args:
            settings: which.
            folder: of the serving config; relative paths are against it.
            assets: the directories of `settings.assets()`, by the names there.
            embed: an embedder for grounding checks, such as the retrieval's.
            key: of the digests, as long as they are to be compared; None: one that nobody keeps.

        Raises:
            UserError: something that the settings name is not there, or is not what it should be.
        """
        made = [make_guard(each, folder, assets or {}, embed) for each in settings.root]
        return cls(made, key or secrets.token_bytes(32))

    @property
    def settings(self) -> tuple[GuardBase, ...]:
        """Of each guard, in their order."""
        return tuple(guard.settings for guard in self._guards)

    def examine(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        retrieved: Sequence[str] = (),
        context: Context | None = None,
    ) -> Examined:
        """Look at a request before a model sees it: every text of every role, and what was retrieved for it.

        Args:
            messages: of the request, in the shape of chat completions or responses.
            tools: that it declares.
            retrieved: passages, each as the model is to be shown it.
            context: of the request.
        """
        context = context or Context()
        conversation = Conversation(messages, tools)
        asking = _Asking(self._guards, context, self._key)
        for said in conversation.said():
            text = asking.about(said.text, said.where, said.role)
            if text != said.text:
                said.put(text)
        for where, role, text in conversation.joined():
            asking.across_parts(text, where, role, Conversation(messages))
        for where, role, kind in conversation.media():
            asking.cannot_read(where, role, kind)
        passages = [asking.about(passage, "retrieved", "passage") for passage in retrieved]
        decided = asking.decided()
        return Examined(
            conversation.messages,
            conversation.tools,
            passages,
            asking.tally.verdicts(),
            decided.action if decided else asking.mildest(),
            decided.message if decided and decided.action in ("refuse", "ask") else "",
            decided.route if decided else "",
        )

    def require_followed(self, context: Context) -> None:
        """See that answers can be held to what a request brings for it, before there is one. It may take long.

        Raises:
            UserError: they cannot.
        """
        for guard in self._guards:
            if isinstance(guard.guard, SchemaCheck):
                guard.guard.require_followed(context)

    def output(self, context: Context | None = None, where: Where = "output", tool: str = "") -> OutputGuard:
        """A guard for one stream of an answer: its text, or the arguments of one of its tool calls.

        Args:
            context: of the request.
            where: what it is, for the verdicts.
            tool: of the arguments of a tool call, the tool's name.
        """
        guards = [guard for guard in self._guards if where in guard.settings.on]
        return OutputGuard(guards, context or Context(), Tally(self._key), where, tool)


class _Asking:
    """Puts the texts of one request to the guards."""

    def __init__(self, guards: Sequence[NamedGuard], context: Context, key: bytes) -> None:
        self._guards = guards
        self._context = context
        self._asked_for: list[GuardBase] = []
        self._actions: list[Action] = []
        self.tally = Tally(key)

    def about(self, text: str, where: Where, role: str) -> str:
        """The text after redaction; what guards ask for beside that is remembered."""
        edits: list[Hit] = []
        for guard, hits in self._hits(text, where, role):
            for hit in hits:
                self._note(guard.settings, where, role, hit.rule, text[hit.start : hit.end])
            if guard.settings.action == "redact":
                edits += hits
        return redacted(text, edits)

    def across_parts(self, text: str, where: Where, role: str, before: Conversation) -> None:
        """Look at the parts of a message as one text; what only that shows cannot be redacted, and is refused.

        But for names: the last word of a part and the first of the next look like one too often.
        """
        parts = {said.text for said in before.said()}
        for guard, hits in self._hits(text, where, role):
            for hit in hits:
                matched = text[hit.start : hit.end]
                if not hit.rule.startswith("name/") and not any(matched in part for part in parts):
                    action = "refuse" if guard.settings.action == "redact" else guard.settings.action
                    settings = guard.settings.model_copy(update={"action": action})
                    self._note(settings, where, role, f"{hit.rule}{OVER_PARTS}", matched)

    def cannot_read(self, where: Where, role: str, kind: str) -> None:
        """A picture or a sound: refused, where a guard would have to look at it."""
        for guard in self._guards:
            if where in guard.settings.on and guard.settings.action != "allow":
                refused = guard.settings.model_copy(update={"action": "refuse", "route": "", "message": REFUSED})
                self._note(refused, where, role, UNREADABLE, kind)
                return

    def decided(self) -> GuardBase | None:
        """The settings of the first guard that asked for the strictest of what was asked for, beyond redaction."""
        action = strictest(self._actions)
        if action in ("allow", "redact"):
            return None
        return next(settings for settings in self._asked_for if settings.action == action)

    def mildest(self) -> Action:
        """`redact` where something was redacted, else `allow`."""
        return strictest(self._actions)

    def _hits(self, text: str, where: Where, role: str) -> Iterator[tuple[NamedGuard, list[Hit]]]:
        reading = Reading(Views(text), where, self._context)
        for guard in self._guards:
            if where not in guard.settings.on:
                continue
            try:
                found = guard.look(reading)
            except GuardFailed:
                failed = guard.settings.model_copy(update={"action": "refuse", "route": "", "message": REFUSED})
                self._note(failed, where, role, FAILED, "")
                continue
            yield guard, without_repeats(found)

    def _note(self, settings: GuardBase, where: Where, role: str, rule: str, matched: str) -> None:
        self._asked_for.append(settings)
        self._actions.append(settings.action)
        self.tally.add(settings.called(), where, role, settings.action, rule, matched)


def without_repeats(hits: Iterable[Hit]) -> list[Hit]:
    """Hits in order, without those that lie in another: what several views show counts once."""
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        if not kept or hit.end > kept[-1].end:
            kept.append(hit)
    return kept
