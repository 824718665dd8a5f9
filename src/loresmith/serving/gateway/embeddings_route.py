"""`/v1/embeddings`: vectors of texts."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from loresmith.serving.gateway.deed import Deed
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.offered import offered
from loresmith.serving.gateway.problem import Problem, no_model
from loresmith.serving.gateway.served_embedders import ServedEmbedder
from loresmith.serving.gateway.shapes import EmbeddingsRequest
from loresmith.serving.gateway.streams import unless_gone
from loresmith.serving.retrieval.embedders.embedder import Vectors

_MOST_TEXTS = 2048


async def embeddings(gateway: Gateway, request: Request, body: EmbeddingsRequest) -> Response:
    """Embed texts."""
    return await unless_gone(request, _embedded(gateway, request, body))


async def _embedded(gateway: Gateway, request: Request, body: EmbeddingsRequest) -> Response:
    span = gateway.telemetry.spans.begin("embeddings", request.headers)
    span.note(response__id=request.scope["state"]["response_id"])
    async with Deed(gateway, request, "complete", span) as deed:
        served = gateway.rules.embedders.get(body.model)
        if served is None:
            raise _no_embedder(gateway, request, body.model)
        span.found(body.model)
        deed.facts |= served.facts
        deed.decide(served.resource, no_model(body.model))
        texts = await deed.examined(_texts(body, served))
        tokens = await served.tokens(texts)
        _require_room(tokens, served)
        deed.decide_on_tokens(sum(tokens), no_model(body.model))
        await deed.admit(sum(tokens))
        await deed.intend()
        deed.tokens = sum(tokens)  # also if the caller leaves
        vectors = await served.embed(texts)
        span.note(
            response__model=served.name,
            usage__input_tokens=deed.tokens,
            embeddings__dimension__count=served.embedder.facts.dimensions,
        )
        return JSONResponse(
            {
                "object": "list",
                "data": [
                    {"object": "embedding", "index": number, "embedding": _told(vector, body)}
                    for number, vector in enumerate(vectors)
                ],
                "model": served.name,
                "usage": {"prompt_tokens": deed.tokens, "total_tokens": deed.tokens},
            }
        )


def _no_embedder(gateway: Gateway, request: Request, name: str) -> Problem:
    """What is told of a model that makes no vectors; of one that the caller may not ask, as if there were none."""
    found = offered(gateway, request)
    if name not in [one.name for one in found]:
        return no_model(name)
    embedders = ", ".join(sorted(repr(one.name) for one in found if one.embeds))
    instead = f"ask {embedders}" if embedders else "there is none that you may ask for them"
    return Problem(400, f"the model {name!r} makes no embeddings: {instead}", code="no_embeddings", param="model")


def _texts(body: EmbeddingsRequest, served: ServedEmbedder) -> list[str]:
    texts = [body.input] if isinstance(body.input, str) else list(body.input)
    if not 0 < len(texts) <= _MOST_TEXTS:
        raise Problem(400, f"input: 1 to {_MOST_TEXTS} texts", code="invalid_request", param="input")
    for number, text in enumerate(texts):
        if not text:
            raise Problem(400, f"input.{number} is empty", code="invalid_request", param="input")
    dimensions = served.embedder.facts.dimensions
    if body.dimensions not in (None, dimensions):
        message = f"the vectors of {served.name!r} have {dimensions} dimensions, no more and no fewer"
        raise Problem(400, message, code="invalid_request", param="dimensions")
    return texts


def _require_room(tokens: list[int], served: ServedEmbedder) -> None:
    longest = served.embedder.facts.longest
    for number, count in enumerate(tokens):
        if count > longest:
            raise Problem(
                400,
                f"input.{number} has {count} tokens, and {served.name!r} looks at {longest}: send it in pieces",
                code="context_length_exceeded",
                param="input",
            )


def _told(vector: Vectors, body: EmbeddingsRequest) -> Any:
    if body.encoding_format == "base64":
        return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()
    return vector.tolist()
