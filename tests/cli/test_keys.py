"""`loresmith keys`: the secret is said once, and everything else is on the record."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from loresmith import Workspace
from loresmith.serving.identity.authenticator import Authenticator
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.server_key import NAME
from loresmith.serving.identity.settings import GroupSettings, IdentitySettings
from tests.cli.conftest import CommandLine


def test_a_key_is_made_used_and_revoked(fresh: CommandLine) -> None:
    made = fresh("keys", "create", "user:ada", "--group", "physicians", "--because", "a trial")
    assert made.status == 0
    secret, said = made.out.splitlines()
    found = re.fullmatch(r"ls-([a-z2-7]{10})-[A-Za-z0-9_-]{43}", secret)
    assert found
    key = found[1]
    assert said.startswith(f"key {key} for user:ada, good until ")
    with Workspace.open(fresh.folder) as workspace:
        groups = Groups({"physicians": GroupSettings(labels=("clinical",))})
        place = workspace.place.state / NAME
        known = Authenticator(IdentitySettings(), groups, workspace.ledger.credentials, place)
        assert known.authenticate(f"Bearer {secret}").labels == {"clinical"}
        assert workspace.verify().problems == ()
    listed = fresh("keys").out
    assert key in listed
    assert "good" in listed
    assert secret.split("-", 2)[2] not in listed
    assert "within 5 seconds" in fresh("keys", "revoke", key, "--because", "lost").out
    assert key not in fresh("keys", "ls").out
    assert "revoked" in fresh("keys", "ls", "--revoked").out
    assert fresh("keys", "revoke", key, "--because", "again").status == 2


def test_a_new_secret(fresh: CommandLine) -> None:
    made = fresh("keys", "create", "service:crm", "--expires-in-days", "1", "--because", "the CRM", "--json").json
    rotated = fresh(
        "keys", "rotate", made["key"]["key"], "--because", "yearly", "--expires-in-days", "365", "--json"
    ).json
    assert rotated["secret"] != made["secret"]
    assert rotated["secret"].startswith(f"ls-{made['key']['key']}-")
    until, before = (datetime.fromisoformat(answer["key"]["expires_at"]) for answer in (rotated, made))
    assert until - before > timedelta(days=363)
    assert rotated["key"]["previous_until"] is not None
    assert fresh("keys", "rotate", "nosuchkey", "--because", "x").status == 2


def test_who_it_is_for_and_why_must_be_said(fresh: CommandLine) -> None:
    assert "a key is for `user:NAME`" in fresh("keys", "create", "ada", "--because", "x").err
    assert fresh("keys", "create", "user:ada").status == 2
    assert "reason" in fresh("keys", "create", "user:ada", "--because", " ").err
    assert "no keys" in fresh("keys").out
