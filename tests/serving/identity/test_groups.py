"""Groups give labels and tenants; what is not declared counts for nothing; names cannot pass for others."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.settings import GroupSettings, IdentitySettings

GROUPS = Groups(
    {
        "staff": GroupSettings(members=("user:ada", "user:bea"), labels=("internal",)),
        "physicians": GroupSettings(members=("user:ada",), labels=("clinical", "internal"), tenant="ward"),
        "research": GroupSettings(labels=("studies",), tenant="lab"),
    }
)


def test_a_caller_holds_what_its_groups_hold() -> None:
    ada = GROUPS.principal("user:ada", (), "key")
    assert (ada.groups, ada.labels, ada.tenant) == (("staff", "physicians"), {"internal", "clinical"}, "ward")
    bea = GROUPS.principal("user:bea", ("research",), "key")
    assert (bea.groups, bea.labels, bea.tenant) == (("staff", "research"), {"internal", "studies"}, "lab")
    eve = GROUPS.principal("user:eve", (), "key")
    assert (eve.groups, eve.labels, eve.tenant) == ((), frozenset(), "default")


def test_groups_that_nobody_declared_count_for_nothing() -> None:
    assert GROUPS.principal("user:eve", ("root", "physicians "), "key").groups == ()


@pytest.mark.parametrize(
    "name", ["ada", "user:", "user:*", "user:a b", 'user:a"', "group:a", "user:\u0430da", "user:a\n", ""]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not of the form"):
        GROUPS.principal(name, (), "key")
    with pytest.raises(ValidationError):
        GroupSettings(members=(name,))


def test_two_issuers_cannot_name_the_same_person() -> None:
    def issuer(name: str, **keys: str) -> dict[str, object]:
        return {"issuer": name, "audiences": ["gateway"], "keys": "keys.json", **keys}

    with pytest.raises(ValidationError, match="prefix"):
        IdentitySettings.model_validate({"tokens": [issuer("https://a"), issuer("https://b")]})
    with pytest.raises(ValidationError, match="twice"):
        IdentitySettings.model_validate({"tokens": [issuer("https://a"), issuer("https://a", prefix="b-")]})
    IdentitySettings.model_validate({"tokens": [issuer("https://a"), issuer("https://b", prefix="b-")]})


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512", "rs256", ""])
def test_algorithms_that_are_no_proof_cannot_be_configured(algorithm: str) -> None:
    written = {"issuer": "https://a", "audiences": ["g"], "keys": "k.json", "algorithms": [algorithm]}
    with pytest.raises(ValidationError):
        IdentitySettings.model_validate({"tokens": [written]})
