"""Every kind of caller against every action and every kind of resource: what a policy comes to, as a table.

Callers are one in each declared group, one in all of them and one in none; resources carry no label, each label that a
group holds, all of these, and one that nobody holds. So the table is as complete as the configuration, and a route can
be held against it cell by cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.principal import Principal
from loresmith.serving.policy.policy import Decision, Policy
from loresmith.serving.policy.resource import ACTIONS, APPLIES_TO, GATEWAY, Action, Resource

UNHELD = "a-label-that-nobody-holds"


@dataclass(frozen=True)
class Cell:
    """One caller, one action, one resource, and what the policy says."""

    principal: Principal
    action: Action
    resource: Resource
    decision: Decision


def callers(groups: Groups) -> Iterator[Principal]:
    """A user in no group, one in each, one in all; and a service in each."""
    yield groups.principal("user:stranger", (), "matrix")
    for name in groups.declared:
        yield groups.principal(f"user:of-{name}", (name,), "matrix")
        yield groups.principal(f"service:of-{name}", (name,), "matrix")
    yield groups.principal("user:of-all", tuple(groups.declared), "matrix")


def resources(
    groups: Groups, releases: Iterable[str] = ("release",), adapters: Iterable[str] = ("adapter",)
) -> Iterator[Resource]:
    """Releases and adapters of these names, a document, with each set of labels worth telling apart; the gateway."""
    held = sorted({label for group in groups.declared.values() for label in group.labels})
    sets = {frozenset[str](), frozenset(held), frozenset({UNHELD}), *(frozenset({label}) for label in held)}
    for labels in sorted(sets, key=sorted):
        for name in releases:
            yield Resource("release", name, labels, {"channel": "production"})
        for name in adapters:
            yield Resource("adapter", name, labels, {"channel": "production"})
        yield Resource("document", "document", labels)
    yield GATEWAY


def matrix(
    policy: Policy,
    releases: Iterable[str] = ("release",),
    adapters: Iterable[str] = ("adapter",),
    context: Mapping[str, Any] | None = None,
) -> list[Cell]:
    """The table of a policy.

    Args:
        releases: names of releases that its policies speak of, or that are served: their own names.
        adapters: the same of adapters, as `RELEASE:NAME`.
        context: what all requests of the table have in common; see `Policy.decide`.
    """
    things = list(resources(policy.groups, releases, adapters))
    return [
        Cell(caller, action, thing, policy.decide(caller, action, thing, context))
        for caller in callers(policy.groups)
        for action in ACTIONS
        for thing in things
        if thing.kind in APPLIES_TO[action]
    ]
