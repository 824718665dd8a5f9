"""The example policies, cell by cell: every kind of caller, action, resource and label, against rules written down here
a second time, in Python."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from loresmith.serving.access import Access, read_access
from loresmith.serving.policy.matrix import Cell, matrix
from loresmith.serving.policy.policy import Policy
from loresmith.serving.policy.resource import Resource
from loresmith.serving.quotas.quotas import Quotas

EXAMPLES = Path(__file__).parents[3] / "examples" / "policies"
NOON, NIGHT = datetime(2026, 3, 2, 12, tzinfo=UTC), datetime(2026, 3, 2, 23, tzinfo=UTC)
WARD, OUTSIDE = "10.20.3.4", "192.0.2.7"


def example(name: str) -> tuple[Access, Policy]:
    access = read_access(EXAMPLES / name / "serve.yaml")
    return access, Policy.load(access.settings.policy, access.groups, access.folder)


def hospital(cell: Cell, at: datetime, address: str, tools: bool) -> bool:
    groups, release = set(cell.principal.groups), cell.resource.id if cell.resource.kind == "release" else None
    if cell.action == "administer":
        return "it" in groups
    if not cell.resource.labels <= cell.principal.labels:
        return False
    if cell.action == "retrieve":
        return bool(groups & {"physicians", "nurses"})
    if cell.action == "feedback":
        return ("physicians" in groups and release in ("ward", "clinic")) or (
            "research" in groups and release == "studies"
        )
    if cell.principal.id.startswith("service:") and tools:
        return False
    treats = address == WARD and (
        ("physicians" in groups and release in ("ward", "clinic")) or ("nurses" in groups and release == "ward")
    )
    bills = cell.principal.id == "service:billing" and release == "invoices" and at == NIGHT
    return treats or bills or ("research" in groups and release == "studies")


def defence(cell: Cell, at: datetime, _address: str, tools: bool) -> bool:
    groups, labels = set(cell.principal.groups), cell.resource.labels
    if cell.action == "administer":
        return "security" in groups and "subcontractor" not in groups
    if "security" in groups or not labels <= cell.principal.labels:
        return False
    if "foreign" in groups and "export-controlled" in labels:
        return False
    if "subcontractor" in groups:
        asks = cell.action == "complete" and (cell.resource.kind, cell.resource.id) == ("release", "heron-assembly")
        return asks and at == NOON and not tools
    return True


RULES = {"hospital": hospital, "defence": defence}
RELEASES = {
    "hospital": ("ward", "clinic", "studies", "invoices", "other"),
    "defence": ("heron-assembly", "heron", "other"),
}


@pytest.mark.parametrize("name", RULES)
def test_every_cell_is_as_the_rules_say(name: str) -> None:
    access, policy = example(name)
    allowed, seen = 0, 0
    for at, address, tools in product((NOON, NIGHT), (WARD, OUTSIDE), (False, True)):
        context: dict[str, Any] = {"at": at, "address": address, "tools": tools}
        cells = matrix(policy, RELEASES[name], context=context)
        members = [member for group in access.settings.groups.values() for member in group.members]
        for member in members:  # people and services by their own names, too
            caller = access.groups.principal(member, (), "key")
            known = {(cell.action, cell.resource.kind, cell.resource.id, cell.resource.labels): cell for cell in cells}
            cells += [
                Cell(caller, cell.action, cell.resource, policy.decide(caller, cell.action, cell.resource, context))
                for cell in known.values()
            ]
        for cell in cells:
            expected = RULES[name](cell, at, address, tools)
            assert cell.decision.allowed is expected, (cell, at, address, tools)
            assert not cell.decision.errors
            assert cell.decision.policies or not cell.decision.allowed
            allowed, seen = allowed + expected, seen + 1
    assert seen > 2000
    assert 0 < allowed < seen / 2


def decided(name: str, who: str, release: str, labels: set[str], **context: Any) -> tuple[bool, tuple[str, ...]]:
    access, policy = example(name)
    caller = access.groups.principal(who, context.pop("groups", ()), "key")
    asked = {"at": NOON, "address": WARD, "tools": False, **context}
    decision = policy.decide(caller, "complete", Resource("release", release, frozenset(labels)), asked)
    return decision.allowed, decision.policies


def test_a_physician_a_nurse_and_a_stranger() -> None:
    assert decided("hospital", "user:ada", "clinic", {"internal", "clinical"}) == (True, ("treatment",))
    assert decided("hospital", "user:ada", "clinic", {"clinical"}, address=OUTSIDE) == (False, ())
    assert decided("hospital", "user:ada", "clinic", {"clinical"}, address="127.0.0.1") == (True, ("treatment",))
    assert decided("hospital", "user:cal", "ward", {"internal"}) == (True, ("care",))
    assert decided("hospital", "user:cal", "ward", {"internal", "clinical"}) == (False, ("labels",))
    assert decided("hospital", "user:nobody", "ward", set()) == (False, ())
    assert decided("hospital", "service:billing", "invoices", {"invoices"}, at=NIGHT) == (True, ("invoices",))
    tools = decided("hospital", "service:billing", "invoices", {"invoices"}, at=NIGHT, tools=True)
    assert tools == (False, ("services-bring-no-tools",))


def test_programmes_nations_and_duties() -> None:
    secret = {"heron", "export-controlled"}
    cleared, foreign = ("heron", "cleared"), ("heron", "cleared", "foreign")
    assert decided("defence", "user:ada", "heron", secret, groups=cleared) == (True, ("default",))
    assert decided("defence", "user:ada", "heron", secret, groups=("heron",)) == (False, ("labels",))
    assert decided("defence", "user:ada", "heron", secret, groups=foreign) == (False, ("export-control",))
    both = decided("defence", "user:ada", "joint", {"heron", "tern"}, groups=("heron",))
    assert both == (False, ("labels", "one-programme-at-a-time"))
    assert decided("defence", "user:olga", "open", set()) == (False, ("separate-duties",))
    assert decided("defence", "service:gear-works", "heron-assembly", {"heron"}) == (True, ("default",))
    late = decided("defence", "service:gear-works", "heron-assembly", {"heron"}, at=NIGHT)
    assert late == (False, ("subcontractor-in-office-hours",))
    other = decided("defence", "service:gear-works", "heron", {"heron"})
    assert other == (False, ("subcontractor-asks-one-model",))


@pytest.mark.parametrize("name", RULES)
def test_their_quotas_are_for_groups_that_there_are(name: str) -> None:
    access, _ = example(name)
    Quotas(access.settings.quotas, access.groups)
