"""A body is read by the model that describes it, in a thread where that takes long."""

from __future__ import annotations

import threading

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, field_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from loresmith.serving.gateway.body_route import BodyRoute
from loresmith.serving.gateway.long_text import LONG_TEXT
from loresmith.serving.gateway.problem import Problem

THREADS: dict[str, int] = {}


class Said(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str

    @field_validator("text")
    @classmethod
    def _note_thread(cls, text: str) -> str:
        THREADS["read"] = threading.get_ident()
        return text


async def told(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem.response()


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = FastAPI(exception_handlers={Problem: told})
    app.router.route_class = BodyRoute

    @app.post("/said")
    async def said(request: Request, body: Said) -> Response:
        THREADS["answered"] = threading.get_ident()
        return JSONResponse(len(body.text))

    @app.get("/nothing/{name}")
    async def nothing(request: Request, name: str) -> Response:
        return JSONResponse(name)

    return app


@pytest.fixture(scope="module")
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


@pytest.mark.parametrize(("length", "aside"), [(10, False), (LONG_TEXT + 1, True)])
def test_a_long_body_is_read_aside(client: TestClient, length: int, aside: bool) -> None:
    assert client.post("/said", json={"text": "x" * length}).json() == length
    assert (THREADS["read"] != THREADS["answered"]) == aside


@pytest.mark.parametrize(
    ("body", "place"), [(b"", None), (b"[]", None), (b'{"text": 1}', "text"), (b'{"text": "", "more": 1}', "more")]
)
def test_what_is_wrong_with_a_body_is_told(client: TestClient, body: bytes, place: str | None) -> None:
    answer = client.post("/said", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, place)


def test_routes_without_a_body_are_the_frameworks_own(client: TestClient) -> None:
    assert client.get("/nothing/there").json() == "there"


def test_the_body_is_described(app: FastAPI) -> None:
    described = app.openapi()["paths"]["/said"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert described == {"$ref": "#/components/schemas/Said"}
