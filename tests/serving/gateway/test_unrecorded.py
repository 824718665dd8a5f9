"""While nothing can be put on the record, nothing is done and nothing is told; nor does who asks fill the memory."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import httpx2 as httpx

from loresmith import Workspace
from loresmith.errors import Failure
from loresmith.serving.gateway.app import behind_door, make_app
from loresmith.serving.gateway.gateway import Gateway
from tests.serving.audit.test_writer import gaps_of
from tests.serving.gateway.gateways import make_key, write_config
from tests.serving.gateway.house import chat
from tests.serving.gateway.idle_gateway import in_workspace, until

WAITING = 20
REFUSED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": chat("nothing"),
    "/v1/completions": {"model": "nothing", "prompt": "Hi"},
    "/v1/responses": {"model": "nothing", "input": "Hi"},
    "/v1/embeddings": {"model": "nothing", "input": "Hi"},
    "/v1/feedback": {"response": "resp_x", "rating": "up"},
    "/admin/reload": {},
}


def test_all_are_refused_while_nothing_can_be_put_on_the_record(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    with Workspace.init(workspace):
        pass
    known, admin = make_key(workspace), make_key(workspace, "user:bea", "admins")
    config = write_config(
        tmp_path,
        {
            "models": {"acme": {"release": "acme"}},
            "standby": False,
            "groups": {"admins": {}},
            "policy": {"administrators": ["admins"]},
            "audit": {"waiting": WAITING, "probe_seconds": 0.1},
        },
    )
    database = workspace / ".loresmith" / "ledger.db"

    async def story(gateway: Gateway) -> None:
        async def asked(path: str, key: str | None = known) -> tuple[int, Any]:
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            method = "POST" if path in REFUSED else "GET"
            said = await client.request(method, path, json=REFUSED.get(path), headers=headers)
            json = said.headers["content-type"].startswith("application/json")
            return said.status_code, said.json().get("error", {}).get("code") if json else None

        transport = httpx.ASGITransport(behind_door(make_app(gateway), gateway))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            usual = {path: (await asked(path))[0] for path in REFUSED}
            assert usual == dict.fromkeys(REFUSED, 404) | {"/admin/reload": 403}
            other = sqlite3.connect(database, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            gateway.audit._begin_trouble(Failure("the disk is full"))  # which lasts, as nothing can be written
            for _ in range(2 * WAITING):
                for path in REFUSED:
                    assert await asked(path) == (503, "audit_unavailable"), path
                assert (await asked("/v1/models", None))[0] == 401
            assert (await asked("/health"))[0] == 200
            assert (await asked("/ready"))[0] == 503
            assert (await asked("/metrics", admin))[0] == 200
            assert gateway.audit.unsettled <= WAITING + 1
            other.execute("ROLLBACK")
            other.close()
            await until(lambda: gateway.audit.healthy)
            assert {path: (await asked(path))[0] for path in REFUSED} == usual
            await gateway.audit.settled()
            await until(lambda: any("outcomes of requests" in gap for gap in gaps_of(gateway.ledger)))

    in_workspace(workspace, config, story)
