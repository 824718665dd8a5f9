"""What the record says of what a gateway answered, and of what it did not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from loresmith import Workspace
from loresmith.sdk.calls.audit import EXPORT, PROOF, SEARCH, VERIFY
from loresmith.sdk.calls.guards import GUARDS_CHECK
from loresmith.serving.access import read_access
from loresmith.serving.audit.journal import FOLDER
from loresmith.serving.audit.record import AuditRecord
from loresmith.serving.policy.policy import Policy
from tests.serving.gateway.gateways import RunningGateway, make_key, make_workspace, write_config
from tests.serving.gateway.guarded_house import REFUSED, Guarded, saying
from tests.serving.gateway.house import House, chat, wait_until
from tests.serving.gateway.test_reload import rewritten


def records(workspace: Path, response: str, phases: int = 2) -> dict[str, AuditRecord]:
    """The records of one response by phase, once all of them are there."""
    found: dict[str, AuditRecord] = {}

    def there() -> bool:
        with Workspace.open(workspace) as opened:
            answer = SEARCH.run(opened, SEARCH.request(response=response), lambda _: None)
        found.update({one.record.phase: one.record for one in answer.records})
        return len(found) >= phases

    wait_until(there)
    return found


def test_every_answer_has_an_intent_and_an_outcome(house: House) -> None:
    access = read_access(house.config)
    policy = Policy.load(access.settings.policy, access.groups, access.folder)
    adapter = yaml.safe_load(house.config.read_text())["models"]["ward"]["adapters"]["clinical"]
    with Workspace.open(house.workspace) as opened:
        model = opened.ledger.releases.target("ward", "production")
    with house.client("user:of-physicians") as client:
        for stream in (False, True):
            for route, body in (
                ("/v1/chat/completions", chat("ward:clinical", max_tokens=20)),
                ("/v1/completions", {"model": "ward:clinical", "prompt": "Hi", "max_tokens": 20, "seed": 1}),
                ("/v1/responses", {"model": "ward:clinical", "input": "Hi", "max_output_tokens": 20, "temperature": 0}),
            ):
                begun = time.monotonic()
                said = client.post(route, json={**body, "stream": stream})
                took = (time.monotonic() - begun) * 1000 + 1  # they are rounded
                assert said.status_code == 200
                found = records(house.workspace, said.headers["x-request-id"])
                intent, outcome = found["intent"], found["outcome"]
                for record in (intent, outcome):
                    assert (record.principal, record.tenant, record.release) == ("user:of-physicians", "ward", "ward")
                    assert (record.groups, record.labels) == (("physicians",), ("clinical",))
                    assert record.resource is not None
                    assert (record.resource.kind, record.resource.id) == ("adapter", "ward:clinical")
                    assert (record.action, record.allowed, record.policies) == ("complete", True, ("default",))
                    assert record.context["route"] == route
                    assert (record.channel, record.served) == ("production", "ward:clinical")
                    assert (record.model, record.adapter) == (model, adapter)
                    assert record.answer_labels == ("clinical",)
                    assert record.policy == policy.digest
                assert intent.latency_ms == 0
                assert 0 < outcome.first_token_ms <= outcome.latency_ms <= took
                assert (intent.completion_tokens, intent.status) == (0, 0)
                assert (outcome.completion_tokens, outcome.status) == (20, 200)
                assert outcome.prompt_tokens == intent.prompt_tokens > 0
                text = text_of(said.text, stream)
                assert outcome.bytes_scanned == outcome.bytes_emitted == len(text.encode())


def text_of(body: str, stream: bool) -> str:
    """What was said, by whichever route."""
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")] if stream else []
    if stream and "type" in events[0]:
        return "".join(one["delta"] for one in events if one["type"] == "response.output_text.delta")
    if not stream and "output" in json.loads(body):
        return str(json.loads(body)["output"][0]["content"][0]["text"])
    choices = [one["choices"][0] for one in events] if stream else json.loads(body)["choices"]
    said = [one.get("delta") or one.get("message") or {"content": one.get("text")} for one in choices]
    return "".join(one.get("content") or "" for one in said)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_with_half_a_letter_is_answered_and_on_the_record(house: House, stream: bool) -> None:
    """As text: JSON takes half a letter for one, and nothing else does."""
    written = '<tool_call>{"name": "record", "arguments": {"city": "\\ud83d"}}</tool_call>'
    tools = [{"type": "function", "function": {"name": "record", "parameters": {"type": "object"}}}]
    with house.client() as client:
        said = client.post("/v1/chat/completions", json=chat(tools=tools, stream=stream, **saying(written)))
    assert said.status_code == 200
    found = records(house.workspace, said.headers["x-request-id"])
    assert text_of(said.text, stream) == written
    assert (found["outcome"].status, found["outcome"].bytes_emitted) == (200, len(written))


def test_the_intent_is_on_the_disk_before_the_first_byte(house: House) -> None:
    with house.client() as client, Workspace.open(house.workspace) as opened:
        long = chat(max_tokens=2000, stream=True, logit_bias={"0": -100, "2": -100})
        with client.stream("POST", "/v1/chat/completions", json=long) as said:
            next(said.iter_bytes())
            response = said.headers["x-request-id"]
            journals = (opened.place.state / FOLDER).glob("*.journal")
            in_journal = any(response.encode() in journal.read_bytes() for journal in journals)
            found = SEARCH.run(opened, SEARCH.request(response=response), lambda _: None)
            assert in_journal or [one.record.phase for one in found.records] == ["intent"]
        # The caller went away: that is on the record too.
        outcome = records(house.workspace, response)["outcome"]
        assert outcome.status == 499
        assert outcome.completion_tokens < 2000


def test_a_record_can_be_proved(house: House) -> None:
    said = house.openai().chat.completions.create(
        model="acme", messages=[{"role": "user", "content": "Hi"}], max_tokens=2
    )
    records(house.workspace, said.id)
    with house.client("user:of-admins") as client:  # as whoever watches the gateway does all day long
        watched = client.get("/metrics").headers["x-request-id"]
    assert records(house.workspace, watched, 1)["outcome"].status == 200
    with Workspace.open(house.workspace) as opened:
        proof = PROOF.run(opened, PROOF.request(response=said.id), lambda _: None)
    assert proof.holds
    assert [one.phase for one in proof.records] == ["intent", "outcome"]
    checked = VERIFY.perform(house.workspace, VERIFY.request(), lambda _: None)
    assert checked.sound, checked.problems


def test_what_was_said_is_kept_sealed(house: House) -> None:
    secret = "the-word-that-is-only-said-once"
    with house.client() as client:
        said = client.post("/v1/chat/completions", json=chat(text=secret))
    response = said.headers["x-request-id"]
    records(house.workspace, response)
    with Workspace.open(house.workspace) as opened:
        request = SEARCH.request(response=response, content=True, because="for the tests", phase="intent")
        (found,) = SEARCH.run(opened, request, lambda _: None).records
    assert found.said is not None
    assert secret in json.dumps(found.said)
    for file in house.workspace.rglob("*"):
        if file.is_file() and file.stat().st_size < 64 << 20:
            assert secret.encode() not in file.read_bytes(), file


def test_who_was_denied_is_on_the_record_and_who_was_not_known(house: House) -> None:
    with house.client("user:stranger") as client:
        denied = client.post("/v1/chat/completions", json=chat("ward")).headers["x-request-id"]
        unknown = client.post("/v1/chat/completions", json=chat("nothing")).headers["x-request-id"]
    with house.client(None) as client:
        nobody = client.get("/v1/models", headers={"authorization": "Bearer ls-x"}).headers["x-request-id"]
    record = records(house.workspace, denied, 1)["outcome"]
    assert (record.allowed, record.status, record.release, record.principal) == (False, 404, "ward", "user:stranger")
    assert record.resource is not None
    assert record.resource.labels == ("clinical",)
    record = records(house.workspace, unknown, 1)["outcome"]
    assert (record.allowed, record.status, record.release) == (False, 404, "")
    record = records(house.workspace, nobody, 1)["outcome"]
    assert (record.status, record.principal) == (401, "")
    assert record.error


def test_what_guards_did_is_on_the_record(guarded: Guarded) -> None:
    with guarded.client() as client:
        at_first = client.post("/v1/chat/completions", json=chat(text=f"a {REFUSED}"))
        too_late = client.post("/v1/chat/completions", json=chat(**saying(f"One {REFUSED} is seen.")))
        redacted = client.post("/v1/chat/completions", json=chat(**saying("Write to ada@example.com today.")))
    record = records(guarded.workspace, at_first.headers["x-request-id"], 1)["outcome"]
    assert (record.status, record.allowed, record.completion_tokens) == (400, True, 0)
    assert [(one.guard, one.where, one.action) for one in record.guards] == [("refusing", "input", "refuse")]
    for said, verdict in (
        (too_late, ("refusing", "output", "refuse")),
        (redacted, ("privacy", "output", "redact")),
    ):
        record = records(guarded.workspace, said.headers["x-request-id"])["outcome"]
        assert [(one.guard, one.where, one.action) for one in record.guards] == [verdict]
        text = said.json()["choices"][0]["message"]["content"] or ""
        assert record.bytes_scanned == record.bytes_emitted == len(text.encode())


def test_the_record_tells_which_guards_were_in_force(guarded: Guarded, tmp_path: Path) -> None:
    """Of their files too: nothing in the configuration changes when one is written anew."""
    denied = guarded.config.parent / "denied.txt"
    told = []
    with rewritten(guarded.config) as config, guarded.client() as client:
        # One that lets everything pass: other tests hold what is on the record against the guards of this gateway.
        config["guards"].append({"kind": "deny", "name": "listed", "file": "denied.txt", "action": "allow"})
        for word in ("ocelot", "margay"):
            denied.write_text(word)
            guarded.config.write_text(yaml.safe_dump(config))

            def found(word: str = word) -> str:
                said = client.post("/v1/chat/completions", json=chat(text=f"a {word}", max_tokens=1))
                response = str(said.raise_for_status().headers["x-request-id"])
                (verdict,) = records(guarded.workspace, response)["outcome"].guards or (None,)
                return response if verdict is not None and verdict.guard == "listed" else ""

            wait_until(found, pause=0.2)
            told.append((found(), _digest_of_guards(guarded)))
    with guarded.gateway.client(None) as client:
        stranger = client.get("/v1/models", headers={"authorization": "Bearer ls-x"}).headers["x-request-id"]
    assert len({digest for _, digest in told}) == 2
    assert records(guarded.workspace, stranger, 1)["outcome"].guards_digest
    for response, digest in told:
        assert {record.guards_digest for record in records(guarded.workspace, response).values()} == {digest}
        with Workspace.open(guarded.workspace) as opened:
            where = f"guards_digest = '{digest}' AND 'listed' IN guards.guard"
            found = SEARCH.run(opened, SEARCH.request(where=where), lambda _: None).records
            assert response in {one.record.response for one in found}
            file = tmp_path / f"{response}.jsonl"
            EXPORT.run(opened, EXPORT.request(response=response, to=file), lambda _: None)
        assert VERIFY.perform(guarded.workspace, VERIFY.request(export=file), lambda _: None).sound
        assert json.loads(file.read_text().splitlines()[1])["facts"]["guards_digest"] == digest


def _digest_of_guards(guarded: Guarded) -> str:
    """As whoever has the configuration finds it."""
    with Workspace.open(guarded.workspace) as opened:
        request = GUARDS_CHECK.request(config=guarded.config, text="Hello.")
        return GUARDS_CHECK.run(opened, request, lambda _: None).digest


@pytest.mark.slow
def test_content_that_is_to_be_omitted_is_nowhere(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    make_workspace(workspace)
    key = make_key(workspace)
    model: dict[str, Any] = {"release": "acme", "window": 256, "slots": 2, "threads": 1}
    config = write_config(tmp_path, {"models": {"acme": model}, "audit": {"content": "omitted"}})
    secret = "a-word-that-nobody-keeps"
    with RunningGateway(workspace, config) as gateway, gateway.client(key) as client:
        said = client.post("/v1/chat/completions", json=chat(text=secret))
        response = said.headers["x-request-id"]
        records(workspace, response)
    with Workspace.open(workspace) as opened:
        found = SEARCH.run(opened, SEARCH.request(response=response), lambda _: None).records
    assert len(found) == 2
    assert not any(one.kept for one in found)
    for file in workspace.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes()
