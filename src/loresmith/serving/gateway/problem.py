"""What a caller is told when a request is not answered, in the shape of OpenAI's errors."""

from __future__ import annotations

import math
from typing import Any

from starlette.responses import JSONResponse

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
}


class Problem(Exception):
    """A request that is not answered as it was asked.

    Args:
        status: the HTTP status.
        message: for the caller: what, and what to do. It never quotes what others said or own.
        code: a word for programs.
        param: the field that is wrong.
        retry_after: seconds after which to come again.
        reason: why, for the audit alone.

    Attributes:
        told: whether the caller has heard of it already, in a stream.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.reason = reason
        self.told = False

    def body(self) -> dict[str, Any]:
        """The error as JSON."""
        kind = TYPES.get(self.status, "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self, headers: dict[str, str] | None = None) -> JSONResponse:
        given = dict(headers or {})
        if self.retry_after is not None:
            given["retry-after"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == 401:
            given["www-authenticate"] = "Bearer"
        return JSONResponse(self.body(), self.status, given)


NOT_FOUND = "there is nothing here"


def not_found() -> Problem:
    """No such route; the same answer whoever asks."""
    return Problem(404, NOT_FOUND, code="not_found")


def no_model(name: str) -> Problem:
    """No such model, or none that this caller may know of: which of the two is not told."""
    return Problem(404, f"the model {name!r} does not exist or you do not have access to it", code="model_not_found")
