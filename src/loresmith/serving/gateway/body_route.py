"""Routes that take one JSON body: read by the model that describes it, straight from its bytes.

FastAPI makes plain data of a body first, and looks for parameters that no route here has: that takes longer than all
the rest of its work. What the route takes and returns is in the description all the same. A long body is read in a
thread, so that others are answered meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from loresmith.serving.gateway.long_text import LONG_TEXT, worked
from loresmith.serving.gateway.mistakes import problem_of
from loresmith.serving.gateway.problem import Problem

LONG_BODY = LONG_TEXT
"""Bytes."""

_MOST_MISTAKES = 500
"""Of more than these none is named: to list a hundred thousand takes longer than all else that is done with one."""


class BodyRoute(APIRoute):
    """A route whose endpoint takes the request and its body, in this order; without a body it is FastAPI's own."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """How a request is carried out.

        Raises:
            Problem: of the handler: the body is not what the model describes.
        """
        if self.body_field is None:
            return super().get_route_handler()
        model: Any = self.body_field.field_info.annotation
        endpoint, adapter = self.endpoint, TypeAdapter(model)

        async def handle(request: Request) -> Response:
            said = await request.body()
            long = len(said) > LONG_BODY
            request.scope.setdefault("state", {})["came_long"] = long
            response: Response = await endpoint(request, await worked(long, _read, adapter, model, said))
            return response

        return handle


def came_long(request: Request) -> bool:
    """Whether a request's body was long, so that what is made of it is made in a thread, too."""
    return bool(request.scope["state"]["came_long"])


def _read(adapter: TypeAdapter[Any], model: type[BaseModel], body: bytes) -> Any:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        if error.error_count() > _MOST_MISTAKES:
            what = f"{error.error_count():,} places of the body are not as they should be: see /openapi.json"
            raise Problem(400, what, code="invalid_request") from None
        raise problem_of(error, model) from None
