"""Says which policy decided a request and why, and of one that nothing permitted, what was missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loresmith.serving.identity.principal import Principal
from loresmith.serving.policy.policy import Decision, Policy, policy_set_json
from loresmith.serving.policy.resource import Action, Resource
from loresmith.serving.policy.statements import Statement


@dataclass(frozen=True)
class NearMiss:
    """A permit that is about this caller, action and resource, and whose conditions do not all hold.

    Attributes:
        id, where: the policy, its file and line.
        conditions: those of its `when` and `unless` that do not hold, as Cedar prints them.
    """

    id: str
    where: str
    conditions: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """Why a request is allowed or denied.

    Attributes:
        decision: what was decided.
        why: the same in a sentence or two.
        decided: the policies that decided.
        lacking: labels of the resource that the caller does not hold.
        near: permits that would have decided, but for a condition.
    """

    decision: Decision
    why: str
    decided: tuple[Statement, ...]
    lacking: tuple[str, ...]
    near: tuple[NearMiss, ...]


def explain(
    policy: Policy,
    principal: Principal,
    action: Action,
    resource: Resource,
    context: Mapping[str, Any] | None = None,
) -> Explanation:
    """Decide a request, and say why; arguments as of `Policy.decide`. Some milliseconds."""
    decision = policy.decide(principal, action, resource, context)
    decided = tuple(statement for statement in policy.statements if statement.id in decision.policies)
    lacking = tuple(sorted(resource.labels - principal.labels))
    unmatched = not decided and not decision.errors
    near = tuple(_near_misses(policy, principal, action, resource, context or {})) if unmatched else ()
    return Explanation(decision, _why(decision, decided, lacking, near), decided, lacking, near)


def _why(
    decision: Decision, decided: tuple[Statement, ...], lacking: tuple[str, ...], near: tuple[NearMiss, ...]
) -> str:
    if decision.errors:
        return f"denied, because the policies could not be evaluated: {'; '.join(decision.errors)}"
    named = " and ".join(f"{statement.id} ({statement.where})" for statement in decided)
    if decision.allowed:
        return f"permitted by {named}"
    held = f"the caller lacks the label{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}" if lacking else ""
    if decided:
        return f"forbidden by {named}" + (f": {held}" if held else "")
    said = ["no permit matched", held] if held else ["no permit matched"]
    said += [f"{miss.id} ({miss.where}) would permit it, but for: {'; '.join(miss.conditions)}" for miss in near]
    return "; ".join(said)


def _near_misses(
    policy: Policy, principal: Principal, action: Action, resource: Resource, context: Mapping[str, Any]
) -> Iterator[NearMiss]:
    """Permits whose scope fits, with the conditions that fail: each condition is tried alone."""
    for statement in policy.statements:
        if statement.effect != "permit":
            continue
        bare = {**statement.tree, "conditions": []}
        if not _holds(policy, bare, principal, action, resource, context):
            continue
        failing = tuple(
            _printed(bare, condition)
            for condition in statement.tree["conditions"]
            if not _holds(policy, {**bare, "conditions": [condition]}, principal, action, resource, context)
        )
        if failing:
            yield NearMiss(statement.id, statement.where, failing)


def _holds(
    policy: Policy,
    tree: Mapping[str, Any],
    principal: Principal,
    action: Action,
    resource: Resource,
    context: Mapping[str, Any],
) -> bool:
    alone = Policy([Statement("tried", "", "", tree)], policy.groups)
    return alone.decide(principal, action, resource, context).allowed


def _printed(bare: Mapping[str, Any], condition: Mapping[str, Any]) -> str:
    """A condition as Cedar prints it, on one line."""
    import cedarpy

    anyone = {"op": "All"}
    tree = {**bare, "principal": anyone, "action": anyone, "resource": anyone, "conditions": [condition]}
    tree.pop("annotations", None)
    text = cedarpy.policies_from_json_str(policy_set_json([Statement("printed", "", "", tree)]))
    return " ".join(text[text.index(")") + 1 :].rstrip("; \n").split())
