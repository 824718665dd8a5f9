"""Why something is allowed or denied, in words, and which recorded decisions a new policy would turn."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from loresmith.serving.audit.record import AuditedResource, AuditRecord
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.settings import GroupSettings
from loresmith.serving.policy.explain import explain
from loresmith.serving.policy.policy import Policy
from loresmith.serving.policy.recorded import recorded_resource
from loresmith.serving.policy.replay import Recorded, replay
from loresmith.serving.policy.resource import GATEWAY, Resource
from loresmith.serving.policy.settings import PolicySettings

GROUPS = Groups({"physicians": GroupSettings(members=("user:ada",), labels=("clinical",))})
ADA = GROUPS.principal("user:ada", (), "key")
EVE = GROUPS.principal("user:eve", (), "key")

HOURS = """\
// Who may, and when.
@id("ward")
permit (principal in Group::"physicians", action == Action::"complete", resource == Release::"ward")
when { context.at.toTime() < duration("19h") }
unless { context has tools && context.tools };
"""


def hours(tmp_path: Path) -> Policy:
    (tmp_path / "hours.cedar").write_text(HOURS)
    return Policy.load(PolicySettings(default=False, files=(Path("hours.cedar"),)), GROUPS, tmp_path)


def test_what_is_permitted_names_its_policy() -> None:
    explained = explain(Policy.load(PolicySettings(), GROUPS), ADA, "complete", Resource("release", "acme"))
    assert explained.why == "permitted by default (default.cedar:3)"


def test_what_is_forbidden_names_the_labels_that_are_lacking() -> None:
    release = Resource("release", "acme", frozenset({"clinical", "secret", "export"}))
    explained = explain(Policy.load(PolicySettings(), GROUPS), ADA, "complete", release)
    assert explained.why == "forbidden by labels (labels.cedar:3): the caller lacks the labels export, secret"
    assert explained.lacking == ("export", "secret")


def test_what_nothing_permits_says_what_would_have(tmp_path: Path) -> None:
    late = {"at": datetime(2026, 3, 1, 23, tzinfo=UTC), "tools": False}
    explained = explain(hours(tmp_path), ADA, "complete", Resource("release", "ward"), late)
    said = f"no permit matched; ward ({tmp_path}/hours.cedar:2) would permit it, but for: when "
    assert explained.why.startswith(said)
    (miss,) = explained.near
    assert len(miss.conditions) == 1
    assert "19h" in miss.conditions[0]
    both = explain(hours(tmp_path), ADA, "complete", Resource("release", "ward"), {**late, "tools": True})
    assert [condition.split()[0] for condition in both.near[0].conditions] == ["when", "unless"]
    for caller, release in ((EVE, "ward"), (ADA, "other")):
        assert (
            explain(hours(tmp_path), caller, "complete", Resource("release", release), late).why == "no permit matched"
        )


def test_an_error_is_said(tmp_path: Path) -> None:
    explained = explain(hours(tmp_path), ADA, "complete", Resource("release", "ward"), {"address": "nowhere"})
    assert explained.why.startswith("denied, because the policies could not be evaluated: ")


def test_administration_is_nobodys_by_default() -> None:
    explained = explain(Policy.load(PolicySettings(), GROUPS), ADA, "administer", GATEWAY)
    assert (explained.decision.allowed, explained.why) == (False, "no permit matched")


def test_replay_lists_exactly_the_decisions_that_turn(tmp_path: Path) -> None:
    now = Policy.load(PolicySettings(), GROUPS)
    candidate = hours(tmp_path)
    requests = [
        Recorded(
            f"{caller.id} {release} {hour}",
            at.isoformat(),
            caller,
            "complete",
            resource,
            now.decide(caller, "complete", resource).allowed,
            context={"at": at},
        )
        for caller in (ADA, EVE)
        for release in ("ward", "other")
        for resource in [Resource("release", release, frozenset({"clinical"} if release == "ward" else ()))]
        for hour in (12, 23)
        for at in [datetime(2026, 3, 1, hour, tzinfo=UTC)]
    ]
    replayed = replay(candidate, requests)
    assert replayed.requests == 8
    assert [flip.request.response for flip in replayed.flips] == [
        "user:ada ward 23",  # too late now
        "user:ada other 12",
        "user:ada other 23",
        "user:eve other 12",
        "user:eve other 23",
    ]
    assert all(not flip.allowed and flip.why.startswith("no permit matched") for flip in replayed.flips)
    assert replay(now, requests).flips == ()


def test_records_of_earlier_versions_are_about_the_release_too() -> None:
    """They had the name under which it was served in its place, and the release beside it."""

    def about(kind: str, name: str, release: str = "acme") -> tuple[str, str]:
        resource = AuditedResource.model_validate({"kind": kind, "id": name, "labels": ["clinical"]})
        usual = {"response": "r", "phase": "intent", "at": "2026-03-01T12:00:00.000000Z", "tenant": "default"}
        record = AuditRecord.model_validate(
            {**usual, "principal": "user:ada", "resource": resource, "release": release}
        )
        found = recorded_resource(record)
        assert found is not None
        assert found.labels == {"clinical"}
        return found.kind, found.id

    assert about("release", "assistant") == about("release", "acme") == ("release", "acme")
    assert about("adapter", "assistant:night") == about("adapter", "acme:night") == ("adapter", "acme:night")
    assert about("release", "retrieval", release="") == ("release", "retrieval")
    assert about("gateway", "gateway", release="") == ("gateway", "gateway")
