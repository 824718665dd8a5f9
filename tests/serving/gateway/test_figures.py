"""`/metrics`: what happened is counted once, as what it was; whoever looks, or may not, is on the record."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2 as httpx
from fastapi import Request
from prometheus_client.parser import text_string_to_metric_families

from loresmith import Workspace
from loresmith.sdk.calls.audit import SEARCH
from loresmith.serving.gateway.app import behind_door, make_app
from loresmith.serving.gateway.door import ON_RECORD
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.telemetry import Telemetry
from tests.serving.gateway.gateways import RunningGateway, add_release, make_key, write_config
from tests.serving.gateway.guarded_house import ASKED, REFUSED, Guarded, saying
from tests.serving.gateway.house import House, chat, wait_until
from tests.serving.gateway.idle_gateway import in_workspace, until
from tests.serving.gateway.records import records_of

CHATS = "/v1/chat/completions"

Figures = Counter[tuple[str, tuple[str, ...]]]


def figures(gateway: RunningGateway, key: str) -> Figures:
    """The counters of a gateway, by names and labels (in the order of the labels' names), without those of looking."""
    with gateway.client(key) as client:
        text = client.get("/metrics").raise_for_status().text
    return Counter(
        {
            (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name.endswith(("_total", "_count")) and "/metrics" not in sample.labels.values()
        }
    )


def named(changed: Figures, name: str) -> dict[tuple[str, ...], float]:
    return {labels: value for (its_name, labels), value in changed.items() if its_name == f"loresmith_{name}"}


def test_each_request_is_counted_once_as_what_it_was(guarded: Guarded) -> None:
    before = figures(guarded.gateway, guarded.grace)
    with guarded.client() as client:
        answered = client.post(CHATS, json=chat(**saying("Fine.")))
        refused = client.post(CHATS, json=chat(text=f"a {REFUSED}, a {REFUSED}"))
        asked = client.post(CHATS, json=chat(text=f"a {ASKED}"))
        denied = client.post(CHATS, json=chat("nothing"))
    with guarded.gateway.client("ls-x") as client:
        rejected = client.post(CHATS, json=chat())
    statuses = [said.status_code for said in (answered, refused, asked, denied, rejected)]
    assert statuses == [200, 400, 400, 404, 401]

    def changed() -> Figures:
        found = figures(guarded.gateway, guarded.grace)
        found.subtract(before)
        return Counter({key: value for key, value in found.items() if value})

    wait_until(lambda: named(changed(), "requests_total").get(("acme", CHATS, "200")))
    now = changed()
    assert named(now, "requests_total") == {
        ("acme", CHATS, "200"): 1,
        ("acme", CHATS, "400"): 2,
        ("", CHATS, "404"): 1,
    }
    assert named(now, "rejected_total") == {(): 1}
    used = answered.json()["usage"]
    assert named(now, "tokens_total") == {
        ("prompt", "acme"): used["prompt_tokens"],
        ("completion", "acme"): used["completion_tokens"],
    }
    assert named(now, "guard_verdicts_total") == {
        ("refuse", "refusing", "input"): 2,
        ("ask", "asking", "input"): 1,
    }
    assert named(now, "asks_human_total") == {("acme",): 1}
    assert named(now, "first_token_seconds_count") == {("acme",): 1}
    assert named(now, "request_seconds_count") == {(CHATS,): 4}


def test_strangers_are_told_that_something_is_amiss_and_administrators_with_what(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    with Workspace.init(workspace) as opened:
        good = add_release(opened, tmp_path, ("secret",), "states")
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "model.safetensors").write_bytes(b"no weights")
        broken = opened.ledger.assets.add("model", tmp_path / "broken").digest
    admin = {"authorization": f"Bearer {make_key(workspace, 'user:bea', 'admins')}"}
    issuer = {"issuer": "https://canary.example/", "audiences": ["gateway"], "keys": "http://127.0.0.1:9/keys"}
    config = write_config(
        tmp_path,
        {
            "models": {"acme": {"release": "acme"}},
            "embeddings": {"canary-states": {"model": "states@production"}},
            "identity": {"tokens": [issuer]},
            "standby": False,
            "groups": {"admins": {}},
            "policy": {"administrators": ["admins"]},
        },
    )

    async def story(gateway: Gateway) -> None:
        def promote(digest: str) -> None:
            gateway.ledger.releases.promote("states", digest, "production", "for the tests")

        async def amiss() -> set[str]:
            text = (await client.get("/metrics", headers=admin)).raise_for_status().text
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
            return {sample.labels["name"] for sample in samples if sample.name == "loresmith_in_trouble"}

        following = asyncio.create_task(gateway._follow())
        transport = httpx.ASGITransport(behind_door(make_app(gateway), gateway))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            assert await amiss() == {"https://canary.example/"}
            promote(broken)
            await until(lambda: gateway.notes != [])
            said = await client.get("/ready")
            assert said.status_code == 503
            assert said.json() == {
                "status": "not ready",
                "problems": ["issuers whose keys cannot be read: 1"],
                "notes": ["models and embedders whose releases point at what cannot be served: 1"],
            }
            assert await amiss() == {"https://canary.example/", "canary-states"}
            promote(good)
            await until(lambda: gateway.notes == [])
            assert await amiss() == {"https://canary.example/"}
        following.cancel()

    in_workspace(workspace, config, story)


def test_what_a_guard_asks_a_person_about_can_be_listed(guarded: Guarded) -> None:
    with guarded.client() as client:
        responses = [
            client.post(CHATS, json=chat(text=f"a {ASKED}")),
            client.post(CHATS, json=chat(**saying(f"One {ASKED} is seen."))),
            client.post(CHATS, json=chat(text=f"a {REFUSED}")),
        ]
    ids = [said.headers["x-request-id"] for said in responses]
    for one in ids:
        records_of(guarded.workspace, one)

    def listed(**more: Any) -> set[str]:
        with Workspace.open(guarded.workspace) as opened:
            found = SEARCH.run(opened, SEARCH.request(asks_human=True, limit=1000, **more), lambda _: None).records
        assert len({one.record.response for one in found}) == len(found)
        return {one.record.response for one in found}

    assert listed() & set(ids) == set(ids[:2])
    assert listed(where="status = 400") & set(ids) == {ids[0]}
    assert listed(principal="user:eve") == set()


def test_who_administers_is_on_the_record_and_who_may_not(house: House) -> None:
    ways = (("GET", "/metrics", 1), ("POST", "/admin/reload", 2))
    before = figures(house.gateway, house.keys["user:of-admins"])
    for who, status in (("user:of-admins", 200), ("user:stranger", 403)):
        for method, path, phases in ways:
            with house.client(who) as client:
                said = client.request(method, path)
            assert said.status_code == status
            found = records_of(house.workspace, said.headers["x-request-id"])
            # Looking on changes nothing, so nobody waits for the disk.
            assert len(found) == (phases if status == 200 else 1)
            for record in found:
                assert (record.action, record.principal, record.allowed) == ("administer", who, status == 200)
                assert record.resource is not None
                assert record.resource.kind == "gateway"
                assert record.policies == (("administrators:admins",) if status == 200 else ())
                assert record.context["route"] == path
            assert (found[-1].phase, found[-1].status) == ("outcome", status)
    now = figures(house.gateway, house.keys["user:of-admins"])
    now.subtract(before)
    counted = {labels: value for labels, value in named(now, "requests_total").items() if value}
    assert counted == {("", "/admin/reload", "200"): 1, ("", "/admin/reload", "403"): 1}


def test_what_has_no_record_is_counted(house: House) -> None:
    def counted() -> dict[str, float]:
        with house.client("user:of-admins") as client:
            lines = client.get("/metrics").text.splitlines()
        found = [line for line in lines if line.startswith("loresmith_unread_total{")]
        return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in found}

    before = counted()
    with house.client() as client:
        refused = [
            client.get("/nowhere"),
            client.delete("/v1/models"),
            client.post("/v1/completions", content=b"x" * 70_000, headers={"content-type": "application/json"}),
            client.post("/v1/completions", content=b"x"),
            client.post("/v1/completions", content=b"{", headers={"content-type": "application/json"}),
            client.post("/v1/chat/completions", json=chat(tool_choice="required")),
            client.post("/v1/chat/completions", json=chat("nothing")),  # decided about: that is on the record
        ]
    assert [one.status_code for one in refused] == [404, 405, 413, 415, 400, 400, 404]
    after = counted()
    more = {status: after[status] - before.get(status, 0) for status in after}
    assert {status: number for status, number in more.items() if number} == {
        "404": 1,
        "405": 1,
        "413": 1,
        "415": 1,
        "400": 2,
    }
    with Workspace.open(house.workspace) as opened:
        rows = [opened.ledger.audit_records.of(one.headers["x-request-id"]) for one in refused]
    assert not any(rows[:-1])


def test_what_is_late_or_broken_is_counted_where_it_has_no_record(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    with Workspace.init(workspace):
        pass
    headers = {"authorization": f"Bearer {make_key(workspace)}"}
    models = {"acme": {"release": "acme"}}
    config = write_config(tmp_path, {"models": models, "standby": False, "limits": {"request_seconds": 1}})

    async def story(gateway: Gateway) -> None:
        app = make_app(gateway)

        @app.get("/late")
        async def late(request: Request, recorded: bool) -> None:
            request.scope["state"][ON_RECORD] = recorded
            await asyncio.Event().wait()

        @app.get("/broken")
        async def broken(request: Request, recorded: bool) -> None:
            request.scope["state"][ON_RECORD] = recorded
            raise ZeroDivisionError

        transport = httpx.ASGITransport(behind_door(app, gateway), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            for path, status in (("/late", 408), ("/broken", 500)):
                for recorded in (False, True):
                    said = await client.get(path, params={"recorded": recorded})
                    assert said.status_code == status
        (counted,) = gateway.telemetry.unread.collect()
        unread = {one.labels["status"]: one.value for one in counted.samples if one.name.endswith("_total")}
        assert unread == {"408": 1, "500": 1}

    in_workspace(workspace, config, story)


def test_every_figure_is_explained() -> None:
    told = (Path(__file__).parents[3] / "docs" / "serving.md").read_text()
    names = {family.name for family in Telemetry().registry.collect()}
    assert len(names) > 10
    assert [name for name in sorted(names) if f"`{name}" not in told] == []
