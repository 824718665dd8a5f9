"""Holds recorded requests against a candidate policy, and lists the decisions that would come out otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loresmith.serving.identity.principal import Principal
from loresmith.serving.policy.explain import explain
from loresmith.serving.policy.policy import Policy
from loresmith.serving.policy.resource import Action, Resource


@dataclass(frozen=True)
class Recorded:
    """A request as the audit has it.

    Attributes:
        response: the id of its answer.
        at: when it came.
        principal: the caller, with the groups and labels that it holds under the candidate.
        action, resource, context: what was decided about.
        allowed: what was decided.
        policies: which policies decided it.
    """

    response: str
    at: str
    principal: Principal
    action: Action
    resource: Resource
    allowed: bool
    policies: tuple[str, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Flip:
    """A request that the candidate decides otherwise.

    Attributes:
        request: as it was.
        allowed: what the candidate says.
        why: which of its policies, and why.
    """

    request: Recorded
    allowed: bool
    why: str


@dataclass(frozen=True)
class Replay:
    """What a candidate does to recorded requests.

    Attributes:
        requests: how many were held against it.
        passed_over: how many records name no request that a policy was asked about.
        flips: those that it decides otherwise, in the order of the record.
    """

    requests: int
    passed_over: int
    flips: tuple[Flip, ...]


def replay(candidate: Policy, recorded: Iterable[Recorded | None]) -> Replay:
    """Decide recorded requests again, at the times at which they came; None is passed over."""
    requests = passed_over = 0
    flips = []
    for request in recorded:
        if request is None:
            passed_over += 1
            continue
        requests += 1
        asked = (request.principal, request.action, request.resource, request.context)
        if candidate.decide(*asked).allowed != request.allowed:
            explained = explain(candidate, *asked)
            flips.append(Flip(request, explained.decision.allowed, explained.why))
    return Replay(requests, passed_over, tuple(flips))
