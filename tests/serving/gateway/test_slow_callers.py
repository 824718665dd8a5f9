"""Who takes long to send a request, or sends a long one for nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message

from loresmith.serving.gateway.door import ROUTE_CHARACTERS, WAITED_SECONDS, Door
from loresmith.serving.identity.principal import Principal
from loresmith.serving.identity.unauthenticated import REASON_CHARACTERS, Unauthenticated
from loresmith.serving.settings import LimitSettings
from tests.serving.gateway.gateways import RunningGateway, make_workspace
from tests.serving.gateway.records import records_of


def test_a_key_that_is_revoked_while_the_body_comes_opens_nothing() -> None:
    looked_up: list[str | None] = []

    async def authenticate(credential: str | None) -> Principal:
        looked_up.append(credential)
        if len(looked_up) > 1:
            raise Unauthenticated("the key was revoked")
        return Principal(id="user:ada", groups=(), labels=frozenset(), tenant="default", credential="k")

    async def receive() -> Message:
        await asyncio.sleep(WAITED_SECONDS + 0.1)
        return {"type": "http.request", "body": b"{}", "more_body": False}

    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    def nothing(*_: Any) -> None: ...

    answer = PlainTextResponse("answered")
    door = Door(answer, [Route("/v1/x", answer)], frozenset(), authenticate, LimitSettings, nothing, nothing)
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/x", "raw_path": b"/v1/x", "root_path": ""}
    headers = [(b"host", b"x"), (b"content-type", b"application/json"), (b"authorization", b"Bearer it")]
    scope |= {"query_string": b"", "http_version": "1.1", "headers": headers, "client": ("127.0.0.1", 1)}
    asyncio.run(door(scope, receive, send))
    assert said[0]["status"] == 401
    assert looked_up == ["Bearer it"] * 2


def test_a_long_path_and_a_long_credential_are_short_on_the_record(tmp_path: Any) -> None:
    workspace = tmp_path / "workspace"
    make_workspace(workspace)
    with RunningGateway(workspace, "acme") as gateway, gateway.client(None) as client:
        said = client.get("/v1/models/" + "x" * 20_000, headers={"authorization": "Bearer " + "y" * 9_000})
    assert said.status_code == 401
    (record,) = records_of(workspace, said.headers["x-request-id"])
    assert len(record.context["route"]) == ROUTE_CHARACTERS + 1


def test_reasons_are_short() -> None:
    assert len(Unauthenticated("z" * 9_000).reason) == REASON_CHARACTERS
