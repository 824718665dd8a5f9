"""What policies call a release is its own name, whatever it is served as: at the gateway, in `policy explain`, in the
replay of the audit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from loresmith.sdk.calls.policy import EXPLAIN
from loresmith.sdk.calls.policy_replay import REPLAY
from tests.serving.gateway.gateways import RunningGateway, add_release, write_config
from tests.serving.gateway.house import add_adapters, chat, make_keys, wait_until
from tests.serving.gateway.records import records_of

WHO = ("user:ada", "user:eve", "user:kim", "user:lee")
RULES = """\
@id("not-eve") forbid (principal == User::"eve", action, resource == Release::"acme");
@id("not-kim") forbid (principal == User::"kim", action, resource == Adapter::"acme:clinical");
@id("not-lee") forbid (principal == User::"lee", action == Action::"feedback", resource == Release::"acme");
@id("not-eve-if-candidate") forbid (principal == User::"eve", action, resource)
when { resource has channel && resource.channel == "candidate" };
"""

NAMES = {
    "assistant": "release acme",
    "assistant:clinical": "adapter acme:clinical",
    "acme": "release ward",
    "trial": "release trial",
}
"""What is served, and what policies call it: the names are such that taking one for another is seen."""

REFERENCES = {"acme@production": "assistant", "ward@production": "acme", "trial@candidate": "trial"}
FORBIDDEN = {
    ("user:eve", "assistant"),
    ("user:eve", "states"),
    ("user:eve", "trial"),
    ("user:kim", "assistant:clinical"),
}


class Renamed:
    """A gateway that serves releases under other names than their own."""

    def __init__(self, folder: Path) -> None:
        self.workspace = folder / "workspace"
        with Workspace.init(self.workspace) as opened:
            digest = add_release(opened, self.workspace)
            add_release(opened, self.workspace, ("clinical",), "ward")
            trial = add_release(opened, self.workspace, (), "trial")
            opened.ledger.releases.promote("trial", trial, "candidate", "for the tests")
            night = add_adapters(opened, folder / "adapters", digest)["clinical"]
        usual = {"window": 256, "slots": 2, "threads": 1}
        (folder / "rules.cedar").write_text(RULES)
        self.config = write_config(
            folder,
            {
                "models": {
                    "assistant": {"release": "acme", "adapters": {"clinical": night}, **usual},
                    "acme": {"release": "ward", **usual},
                    "trial": {"release": "trial", "channel": "candidate", **usual},
                },
                "embeddings": {"states": {"model": "acme@production"}},
                "groups": {"staff": {"members": list(WHO), "labels": ["clinical"]}},
                "policy": {"files": ["rules.cedar"]},
                "standby": False,
            },
        )
        self.keys = make_keys(self.workspace, dict.fromkeys(WHO, ()))
        self.gateway = RunningGateway(self.workspace, self.config)

    def explained(self, who: str, name: str) -> Any:
        request = EXPLAIN.request(config=self.config, as_=who, model=name)
        return EXPLAIN.perform(self.workspace, request, lambda _: None)

    def asked(self, who: str, name: str) -> Any:
        with self.gateway.client(self.keys[who]) as client:
            if name == "states":
                return client.post("/v1/embeddings", json={"model": name, "input": "Hi"})
            return client.post("/v1/chat/completions", json=chat(name))


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Renamed]:
    made = Renamed(tmp_path_factory.mktemp("renamed"))
    with made.gateway:
        yield made


def test_explain_and_the_gateway_speak_of_the_same_thing(renamed: Renamed) -> None:
    for who in WHO:
        for name, meant in {**NAMES, "states": "release acme"}.items():
            said, explained = renamed.asked(who, name), renamed.explained(who, name)
            may = (who, name) not in FORBIDDEN
            assert (said.status_code == 200, explained.allowed) == (may, may), (who, name, explained.why)
            *_, outcome = records_of(renamed.workspace, said.headers["x-request-id"])
            assert outcome.resource is not None
            assert f"{outcome.resource.kind} {outcome.resource.id}" == explained.resource == meant
            assert set(outcome.resource.labels) == set(explained.labels)
            assert (outcome.policies, outcome.served) == (tuple(one.id for one in explained.policies), name)


def test_a_reference_means_the_same_as_the_name(renamed: Renamed) -> None:
    for who in WHO:
        for reference, name in REFERENCES.items():
            by_reference, by_name = renamed.explained(who, reference), renamed.explained(who, name)
            assert by_reference == by_name, (who, reference)
    with Workspace.open(renamed.workspace) as opened:
        (adapter,) = opened.ledger.assets.list("adapter")[:1]  # any: only one of them is served
        for one in opened.ledger.assets.list("adapter"):
            served = renamed.explained("user:ada", one.digest).resource == "adapter acme:clinical"
            assert served == ("clinical" in one.labels and "export" not in one.labels)
    assert renamed.explained("user:ada", adapter.digest[:12]).allowed in (True, False)


def test_one_is_shown_what_one_may_ask_for_by_the_names_that_are_served(renamed: Renamed) -> None:
    for who in WHO:
        with renamed.gateway.client(renamed.keys[who]) as client:
            listed = {one["id"]: one["embeds"] for one in client.get("/v1/models").json()["data"]}
        expected = {name: name == "states" for name in (*NAMES, "states") if (who, name) not in FORBIDDEN}
        assert listed == expected


def test_feedback_is_about_the_release_too(renamed: Renamed) -> None:
    answered = renamed.asked("user:lee", "assistant").headers["x-request-id"]
    records_of(renamed.workspace, answered)
    of_another = renamed.asked("user:lee", "acme").headers["x-request-id"]
    records_of(renamed.workspace, of_another)
    with renamed.gateway.client(renamed.keys["user:lee"]) as client:
        said = [
            client.post("/v1/feedback", json={"response": response, "rating": "up"}).status_code
            for response in (answered, of_another)
        ]
    assert said == [403, 200]


def test_a_replay_finds_what_a_rule_about_a_release_turns(renamed: Renamed, tmp_path: Path) -> None:
    response = renamed.asked("user:ada", "assistant").headers["x-request-id"]
    other = renamed.asked("user:ada", "acme").headers["x-request-id"]
    for one in (response, other):
        records_of(renamed.workspace, one)
    (tmp_path / "new.cedar").write_text('forbid (principal == User::"ada", action, resource == Release::"acme");')
    candidate = write_config(tmp_path, {"groups": {"staff": {"members": list(WHO), "labels": ["clinical"]}}})
    candidate.write_text(candidate.read_text() + "policy: {files: [new.cedar]}\n")

    def turned() -> set[str]:
        with Workspace.open(renamed.workspace) as opened:
            replayed = REPLAY.run(opened, REPLAY.request(config=candidate), lambda _: None)
        return {flip.response for flip in replayed.flips}

    wait_until(lambda: response in turned())
    assert other not in turned()
