"""Routes that take one JSON body: read by the model that describes it, straight from its bytes.

FastAPI makes plain data of a body first, and looks for parameters that no route here has: that takes longer than all
the rest of its work. What the route takes and returns is in the description all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from loresmith.serving.gateway.long_text import LONG_TEXT, worked


class BodyRoute(APIRoute):
    """A route whose endpoint takes the request and its body, in this order; without a body it is FastAPI's own."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """How a request is carried out.

        Raises:
            RequestValidationError: of the handler: the body is not what the model describes.
        """
        if self.body_field is None:
            return super().get_route_handler()
        model: Any = self.body_field.field_info.annotation
        endpoint, read = self.endpoint, TypeAdapter(model).validate_json

        async def handle(request: Request) -> Response:
            said = await request.body()
            try:
                body = await worked(len(said) > LONG_TEXT, read, said)
            except ValidationError as error:
                raise RequestValidationError(error.errors()) from None
            response: Response = await endpoint(request, body)
            return response

        return handle
