"""Passages for a question: found among those that the caller may see, decided on one by one, looked at by guards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loresmith.serving.gateway.gateway import Rules
from loresmith.serving.gateway.long_text import is_long, worked
from loresmith.serving.guards.guard import Context
from loresmith.serving.guards.guards import Examined
from loresmith.serving.guards.verdict import Verdict
from loresmith.serving.identity.principal import Principal
from loresmith.serving.retrieval.passage import Passage, PassageRef
from loresmith.serving.retrieval.retriever import Retriever
from loresmith.serving.retrieval.settings import RetrievalSettings


@dataclass
class FoundPassages:
    """What a model may be shown.

    Attributes:
        passages: the best first.
        texts: of each, as guards let it in.
        verdicts: of the guards, on those that they kept back too.
    """

    passages: list[Passage] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)


async def find_passages(
    question: str,
    settings: RetrievalSettings,
    retriever: Retriever,
    rules: Rules,
    principal: Principal,
    context: Mapping[str, Any],
) -> FoundPassages:
    """The passages for a question.

    Args:
        context: of the request, for the policy.
    """
    decided: dict[str, bool] = {}  # of each document, once

    def may_see(ref: PassageRef) -> bool:
        if ref.document not in decided:
            decided[ref.document] = rules.policy.decide(principal, "retrieve", ref.resource, context).allowed
        return decided[ref.document]

    async def looked_at(text: str) -> Examined:
        return await worked(is_long(text), rules.guards.examine, [], [], (text,), Context(labels=principal.labels))

    candidates = await asyncio.to_thread(
        retriever.retrieve, question, principal.labels, may_see, settings.passages, settings.least_cosine
    )
    found = FoundPassages()
    for passage in candidates:
        examined = await looked_at(passage.text)
        named = await looked_at(passage.path)  # the model is shown where it stands, too
        found.verdicts += [*examined.verdicts, *named.verdicts]
        if examined.action in ("allow", "redact") and named.action == "allow":
            found.passages.append(passage)
            found.texts.append(examined.retrieved[0])
    return found


async def show_as_many_as_fit(most: int, show: Callable[[int], Awaitable[tuple[int, bool]]]) -> None:
    """Have as many passages shown as have room, none where not even the rest has.

    Args:
        show: shows the first so many at most and no others; says how many, and whether they have room.
    """
    too_many, has_room = await show(most)
    if has_room or too_many == 0:
        return
    _, has_room = await show(0)
    if not has_room:
        return  # nor has the conversation alone
    fits = shown = 0
    while too_many - fits > 1:
        middle = (too_many + fits) // 2
        shown, has_room = await show(middle)
        fits, too_many = (middle, too_many) if has_room else (fits, middle)
    if shown != fits:
        await show(fits)
