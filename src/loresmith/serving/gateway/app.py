"""The application: the routes, and the door before all of them."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from loresmith.errors import LoresmithError
from loresmith.serving.feedback.given import GivenFeedback
from loresmith.serving.gateway.body_route import BodyRoute
from loresmith.serving.gateway.chat_route import chat
from loresmith.serving.gateway.completion_route import complete
from loresmith.serving.gateway.deed import Deed
from loresmith.serving.gateway.door import ON_RECORD, OPEN, Door
from loresmith.serving.gateway.embeddings_route import embeddings
from loresmith.serving.gateway.feedback_route import FeedbackDesk
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.offered import offered
from loresmith.serving.gateway.playground.pages import ROUTES as PLAYGROUND
from loresmith.serving.gateway.playground.pages import add_playground
from loresmith.serving.gateway.problem import Problem, no_model
from loresmith.serving.gateway.responses_route import responses
from loresmith.serving.gateway.shapes import ChatRequest, CompletionRequest, EmbeddingsRequest, ResponsesRequest
from loresmith.serving.policy.resource import GATEWAY


def make_app(gateway: Gateway) -> FastAPI:
    """The application of a gateway that has been started."""

    async def told(request: Request, error: Exception) -> Response:
        problem = _problem(error)
        if not request.scope["state"].get(ON_RECORD):
            gateway.note_unread(problem)
        return problem.response()

    async def told_broken(request: Request, _error: Exception) -> Response:
        """A fault of ours: the caller learns nothing of it, the traceback goes to the log."""
        return await told(request, Problem(500, "the gateway failed at this request", code="internal_error"))

    app = FastAPI(
        title="Loresmith gateway",
        version=version("loresmith"),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        exception_handlers={
            Problem: told,
            RequestValidationError: told,
            HTTPException: told,
            Exception: told_broken,
        },
    )

    app.router.route_class = BodyRoute

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request, body: ChatRequest) -> Response:
        return await chat(gateway, request, body)

    @app.post("/v1/completions")
    async def completions(request: Request, body: CompletionRequest) -> Response:
        return await complete(gateway, request, body)

    @app.post("/v1/responses")
    async def respond(request: Request, body: ResponsesRequest) -> Response:
        return await responses(gateway, request, body)

    @app.post("/v1/embeddings")
    async def embed(request: Request, body: EmbeddingsRequest) -> Response:
        return await embeddings(gateway, request, body)

    desk = FeedbackDesk(gateway)

    @app.post("/v1/feedback")
    async def feedback(request: Request, body: GivenFeedback) -> Response:
        return await desk.take(request, body)

    @app.get("/v1/models")
    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": _models(gateway, request)})

    @app.get("/v1/models/{name:path}")
    async def model(request: Request, name: str) -> Response:
        found = next((one for one in _models(gateway, request) if one["id"] == name), None)
        if found is None:
            raise no_model(name)
        return JSONResponse(found)

    @app.get("/health")
    async def health() -> Response:
        return JSONResponse({"status": "alive"})

    @app.get("/ready")
    async def ready() -> Response:
        problems = gateway.problems
        return JSONResponse(
            {"status": "not ready" if problems else "ready", "problems": problems, "notes": gateway.notes},
            503 if problems else 200,
        )

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        async with Deed(gateway, request, "administer", looks=True) as deed:
            deed.decide(GATEWAY, _for_administrators())
            gateway.telemetry.ready.set(0 if gateway.problems else 1)
            gateway.telemetry.sample_trouble.set(1 if gateway.sample.trouble else 0)
            gateway.telemetry.sample_lost.set(gateway.sample.lost)
            gateway.telemetry.show_trouble(gateway.in_trouble)
            for one in gateway.models.all():
                gateway.telemetry.engine_starts.labels(one.name).set(one.host.starts)
            return Response(gateway.telemetry.text(), media_type="text/plain; version=0.0.4")

    @app.post("/admin/reload")
    async def reload(request: Request) -> Response:
        async with Deed(gateway, request, "administer") as deed:
            deed.decide(GATEWAY, _for_administrators())
            await deed.intend()
            try:
                changed = await gateway.reload()
            except LoresmithError as error:
                raise Problem(400, str(error), code="configuration") from None
            rules = gateway.rules
            return JSONResponse(
                {"changed": changed, "policy": rules.policy.digest, "guards_digest": rules.guards_digest}
            )

    add_playground(app)
    return app


def behind_door(app: FastAPI, gateway: Gateway) -> ASGIApp:
    """The application as the server is given it: nothing goes around the door, not even FastAPI's own middleware."""
    return Door(
        app,
        routes=app.router.routes,
        open_routes=OPEN | PLAYGROUND,
        authenticate=gateway.authenticator.authenticated,
        limits=lambda: gateway.rules.config.limits,
        rejected=gateway.note_stranger,
        unread=gateway.note_unread,
    )


def _models(gateway: Gateway, request: Request) -> list[dict[str, Any]]:
    return [
        {
            "id": one.name,
            "object": "model",
            "created": 0,
            "owned_by": "loresmith",
            "labels": sorted(one.labels),
            "embeds": one.embeds,
        }
        for one in offered(gateway, request)
    ]


def _for_administrators() -> Problem:
    return Problem(403, "this is for administrators of the gateway", code="forbidden")


def _problem(error: Exception) -> Problem:
    """What is told of an error, whoever found it, in our own words and shape."""
    if isinstance(error, Problem):
        return error
    status = error.status_code if isinstance(error, HTTPException) else 400
    return Problem(status, "this cannot be read", code="invalid_request")
