"""Who may do what: labels are held, what nothing permits is denied, what goes wrong denies."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain, combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.errors import UserError
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.settings import GroupSettings
from loresmith.serving.policy.matrix import UNHELD, matrix
from loresmith.serving.policy.policy import ALL, Policy, context_read
from loresmith.serving.policy.resource import ACTIONS, APPLIES_TO, GATEWAY, Action, Kind, Resource
from loresmith.serving.policy.settings import PolicySettings
from loresmith.serving.policy.statements import read_statements

GROUPS = Groups(
    {
        "physicians": GroupSettings(members=("user:ada",), labels=("clinical", "internal")),
        "billing": GroupSettings(members=("service:crm",), labels=("invoices", "internal")),
        "operators": GroupSettings(members=("user:grace",)),
    }
)
ADA = GROUPS.principal("user:ada", (), "key")
CRM = GROUPS.principal("service:crm", (), "key")


def policy(tmp_path: Path, *texts: str, default: bool = True, administrators: tuple[str, ...] = ()) -> Policy:
    files = []
    for number, text in enumerate(texts):
        files.append(tmp_path / f"{number}.cedar")
        files[-1].write_text(text, encoding="utf-8")
    settings = PolicySettings(default=default, files=tuple(files), administrators=administrators)
    return Policy.load(settings, GROUPS)


def test_the_matrix_of_the_default_policy_is_who_holds_every_label(tmp_path: Path) -> None:
    cells = matrix(policy(tmp_path, administrators=("operators",)))
    assert {cell.action for cell in cells} == {"complete", "retrieve", "feedback", "administer"}
    assert any(cell.resource.labels == {UNHELD} for cell in cells)
    for cell in cells:
        expected = (
            "operators" in cell.principal.groups
            if cell.action == "administer"
            else cell.resource.labels <= cell.principal.labels
        )
        assert cell.decision.allowed is expected, cell
        assert not cell.decision.errors


LABELS = ("clinical", "internal", "invoices", "secret")
SETS = [frozenset(some) for some in chain.from_iterable(combinations(LABELS, n) for n in range(len(LABELS) + 1))]


ABOUT: tuple[tuple[Action, Kind], ...] = tuple((action, kind) for action in ACTIONS for kind in APPLIES_TO[action])


@given(held=st.sampled_from(SETS), carried=st.sampled_from(SETS), about=st.sampled_from(ABOUT))
def test_labels_hold_whatever_an_operator_permits(
    held: frozenset[str], carried: frozenset[str], about: tuple[Action, Kind]
) -> None:
    action, kind = about
    groups = Groups({"some": GroupSettings(labels=tuple(held))})
    caller = groups.principal("user:eve", ("some",), "key")
    lavish = Policy.load(PolicySettings(default=False, files=(LAVISH,)), groups)
    decision = lavish.decide(caller, action, Resource(kind, "acme", carried))
    assert decision.allowed is (action == "administer" or carried <= held)
    assert decision.policies == (("everything",) if decision.allowed else ("labels",))


LAVISH = Path(__file__).with_name("lavish.cedar")


def test_without_a_permit_all_is_denied(tmp_path: Path) -> None:
    for cell in matrix(policy(tmp_path, default=False)):
        assert not cell.decision.allowed
        assert cell.decision.policies in ((), ("labels",))


def test_a_permit_of_ones_own_reaches_whom_it_names(tmp_path: Path) -> None:
    text = """@id("ward")
    permit (principal in Group::"physicians", action == Action::"complete", resource == Release::"ward");"""
    own = policy(tmp_path, text, default=False)
    ward, other = Resource("release", "ward", frozenset({"clinical"})), Resource("release", "other")
    assert own.decide(ADA, "complete", ward).policies == ("ward",)
    assert not own.decide(ADA, "complete", other).allowed
    assert not own.decide(ADA, "feedback", ward).allowed
    assert not own.decide(GROUPS.principal("user:stranger", (), "key"), "complete", ward).allowed


def test_an_operators_forbid_wins_over_the_default(tmp_path: Path) -> None:
    own = policy(
        tmp_path, '@id("no-tools") forbid (principal, action, resource) when { context has tools && context.tools };'
    )
    release = Resource("release", "acme")
    assert own.decide(ADA, "complete", release, {"tools": False}).allowed
    assert own.decide(ADA, "complete", release, {"tools": True}).policies == ("no-tools",)


def test_the_circumstances_of_a_request_count(tmp_path: Path) -> None:
    text = """
    @id("ward-hours") permit (principal, action == Action::"complete", resource)
    when { context has address && context.address.isInRange(ip("10.1.0.0/16")) }
    when { context.at.toTime() >= duration("7h") && context.at.toTime() < duration("19h") };
    """
    own = policy(tmp_path, text, default=False)
    release = Resource("release", "acme")
    day, night = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 23, tzinfo=UTC)
    assert own.decide(ADA, "complete", release, {"at": day, "address": "10.1.7.7"}).allowed
    assert not own.decide(ADA, "complete", release, {"at": night, "address": "10.1.7.7"}).allowed
    assert not own.decide(ADA, "complete", release, {"at": day, "address": "10.2.0.1"}).allowed
    assert not own.decide(ADA, "complete", release, {"at": day}).allowed


def test_a_policy_that_fails_denies_even_where_it_would_forbid_nothing(tmp_path: Path) -> None:
    # An overflow is the one thing that a validated policy can still trip over; Cedar passes over such a policy.
    text = """@id("overflow")
    forbid (principal, action, resource) when { context has tokens && context.tokens * 9223372036854775807 > 5 };"""
    own = policy(tmp_path, text)
    release = Resource("release", "acme")
    assert own.decide(ADA, "complete", release, {"tokens": 1}).allowed is False  # it forbids
    failed = own.decide(ADA, "complete", release, {"tokens": 3})
    assert not failed.allowed
    assert "overflow" in failed.errors[0]
    assert own.decide(ADA, "complete", release).allowed


@pytest.mark.parametrize(
    "context",
    [
        {"adress": "10.0.0.1"},
        {"address": "not an address"},
        {"tokens": "3"},
        {"tokens": True},
        {"at": datetime(2026, 1, 1)},
    ],
)
def test_what_cannot_be_evaluated_is_denied(tmp_path: Path, context: dict[str, object]) -> None:
    decision = policy(tmp_path).decide(ADA, "complete", Resource("release", "acme"), context)
    assert not decision.allowed
    assert decision.errors


def test_an_attribute_that_policies_do_not_know_is_denied(tmp_path: Path) -> None:
    decision = policy(tmp_path).decide(ADA, "complete", Resource("release", "acme", attributes={"chanel": "x"}))
    assert not decision.allowed
    assert "chanel" in decision.errors[0]


def test_an_action_is_about_its_kind_of_resource(tmp_path: Path) -> None:
    own = policy(tmp_path, administrators=("physicians",))
    assert own.decide(ADA, "administer", GATEWAY).allowed
    assert not own.decide(ADA, "administer", Resource("release", "acme")).allowed
    assert not own.decide(ADA, "complete", Resource("document", "a page")).allowed


def test_a_user_is_not_the_service_of_the_same_name(tmp_path: Path) -> None:
    text = '@id("crm") permit (principal == Service::"crm", action == Action::"complete", resource);'
    own = policy(tmp_path, text, default=False)
    assert own.decide(CRM, "complete", Resource("release", "acme")).allowed
    assert not own.decide(
        GROUPS.principal("user:crm", ("billing",), "key"), "complete", Resource("release", "acme")
    ).allowed


@given(name=st.text(max_size=40))
def test_no_name_of_a_resource_steps_out_of_its_place(name: str) -> None:
    caller = GROUPS.principal("user:eve", (), "key")
    ours = Policy.load(PolicySettings(default=False, files=(WARD,)), GROUPS)
    assert ours.decide(caller, "complete", Resource("release", name)).allowed is (name == "ward")


WARD = Path(__file__).with_name("ward.cedar")


def test_the_digest_is_of_all_that_decides(tmp_path: Path) -> None:
    one = policy(tmp_path, administrators=("operators",))
    assert one.digest == policy(tmp_path, administrators=("operators",)).digest
    others = {one.digest, policy(tmp_path).digest, policy(tmp_path, default=False).digest}
    groups = Groups({**GROUPS.declared, "operators": GroupSettings(labels=("clinical",))})
    others.add(Policy.load(PolicySettings(administrators=("operators",)), groups).digest)
    assert len(others) == 4
    assert one.decide(ADA, "complete", Resource("release", "acme")).policy_digest == one.digest


def test_administrators_must_be_declared() -> None:
    with pytest.raises(UserError, match="unknown group 'operator'; did you mean 'operators'"):
        Policy.load(PolicySettings(administrators=("operator",)), GROUPS)


def test_a_decision_is_kept_only_where_no_policy_reads_the_clock(tmp_path: Path) -> None:
    day, night = (datetime(2026, 3, 2, hour, tzinfo=UTC) for hour in (12, 23))
    acme = Resource("release", "acme", frozenset({"clinical"}))
    hours = 'forbid(principal, action, resource) when { context.at.toTime() > duration("18h") };'
    timed = policy(tmp_path, hours)
    assert timed.decide(ADA, "complete", acme, {"at": day}).allowed
    assert not timed.decide(ADA, "complete", acme, {"at": night}).allowed
    route = 'forbid(principal, action, resource) when { context has route && context.route == "/v1/completions" };'
    kept = policy(tmp_path, route)
    asked = {"route": "/v1/chat/completions"}
    assert kept.decide(ADA, "complete", acme, asked) is kept.decide(ADA, "complete", acme, asked)
    assert not kept.decide(ADA, "complete", acme, {"route": "/v1/completions"}).allowed
    assert not kept.decide(ADA, "complete", Resource("release", "acme", frozenset({"invoices"})), asked).allowed
    assert not kept.decide(CRM, "complete", acme, asked).allowed


def test_what_is_no_truth_is_not_taken_for_one_that_was_decided(tmp_path: Path) -> None:
    acme = Resource("release", "acme", frozenset({"clinical"}))
    decides = policy(tmp_path).decide
    assert decides(ADA, "complete", acme, {"stream": True}).allowed
    wrong = decides(ADA, "complete", acme, {"stream": 1})
    assert not wrong.allowed
    assert wrong.errors


@pytest.mark.parametrize(
    ("condition", "read"),
    [
        ('context.at < datetime("2026-01-01")', {"at"}),
        ("context has at && true", {"at"}),
        ('[1].contains(3) || (if true then context.at.toTime() > duration("1h") else false)', {"at"}),
        ("context == {}", {ALL}),
        ('context.route == "at"', {"route"}),
        ('principal in Group::"at"', set()),
        ("context has address && context.address.isLoopback() && context.tokens > 3", {"address", "tokens"}),
    ],
)
def test_what_policies_read_of_a_request_is_known(condition: str, read: set[str]) -> None:
    (statement,) = read_statements(f"permit(principal, action, resource) when {{ {condition} }};", "p.cedar")
    assert context_read(statement.tree) == read
