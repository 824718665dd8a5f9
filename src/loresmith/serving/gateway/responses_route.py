"""`/v1/responses`: text and calls of functions, without state on the server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from loresmith.serving.engines.generation import Constraint, JsonSchema
from loresmith.serving.gateway.answer import Answer
from loresmith.serving.gateway.asked import Asked, Piece, sampling_of
from loresmith.serving.gateway.body_route import came_long
from loresmith.serving.gateway.chat_route import consents, sources_of
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.long_text import worked
from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.responses_input import messages_of
from loresmith.serving.gateway.responses_output import Output
from loresmith.serving.gateway.shapes import LOG_PROBABILITIES, FunctionChoice, FunctionTool, ResponsesRequest
from loresmith.serving.gateway.streams import event, respond

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


async def responses(gateway: Gateway, request: Request, body: ResponsesRequest) -> Response:
    """Answer a conversation."""
    shown = _Shown(body)
    asked = await worked(came_long(request), asked_of, body)
    return await respond(gateway, request, asked, shown.events, shown.whole)


def asked_of(body: ResponsesRequest) -> Asked:
    """What the body asks for.

    Raises:
        Problem: it is no conversation, or two of its wishes exclude each other.
    """
    constraint, schema = _form(body)
    call = _call(body)
    if call is not None and constraint is not None:
        raise Problem(400, "a call of a tool and a form of the answer exclude each other", param="tool_choice")
    tells_tokens = LOG_PROBABILITIES in (body.include or ())
    if body.top_logprobs is not None and not tells_tokens:
        raise Problem(400, f'top_logprobs needs `include: ["{LOG_PROBABILITIES}"]`', param="top_logprobs")
    tools = _tools(body)
    return Asked(
        route="/v1/responses",
        model=body.model,
        messages=messages_of(body),
        tools=tuple(
            {"type": "function", "function": tool.model_dump(exclude={"type"}, exclude_none=True)} for tool in tools
        ),
        call=call,
        one_call=body.parallel_tool_calls is False,
        max_tokens=body.max_output_tokens,
        sampling=sampling_of(body.model_dump(include={"temperature", "top_p"})),
        constraint=constraint,
        schema=schema,
        alternatives=(body.top_logprobs or 0) if tells_tokens else None,
        stream=bool(body.stream),
        consent=consents(body.metadata),
    )


def _tools(body: ResponsesRequest) -> tuple[FunctionTool, ...]:
    return body.tools if body.tool_choice != "none" else ()


def _call(body: ResponsesRequest) -> str | None:
    choice = body.tool_choice
    if choice in (None, "none", "auto"):
        return None
    if not body.tools:
        raise Problem(400, "a tool is to be called and none is given", param="tool_choice")
    if isinstance(choice, FunctionChoice):
        if choice.name not in [tool.name for tool in body.tools]:
            raise Problem(400, f"there is no tool {choice.name!r}", param="tool_choice")
        return choice.name
    return "any"


def _form(body: ResponsesRequest) -> tuple[Constraint | None, dict[str, Any] | None]:
    wanted = None if body.text is None else body.text.format
    if wanted is None or wanted.type == "text":
        return None, None
    schema: dict[str, Any] = {"type": "object"}
    if wanted.type == "json_schema":
        if wanted.schema_ is None:
            place = "text.format.schema"
            raise Problem(400, f"{place}: this field is missing", code="invalid_request", param=place)
        schema = wanted.schema_
    return JsonSchema(value=schema), schema


class _Shown:
    """How the answer is told."""

    def __init__(self, body: ResponsesRequest) -> None:
        self._body = body

    def whole(self, answer: Answer, pieces: list[Piece]) -> dict[str, Any]:
        output = Output(answer, calls=bool(_tools(self._body)))
        for piece in pieces:
            for _ in output.add(piece):
                pass
        for _ in output.end():
            pass
        return self._ended(answer, output)

    async def events(self, answer: Answer, pieces: AsyncGenerator[Piece]) -> AsyncGenerator[str]:
        sequence = 0

        def told(kind: str, /, **said: Any) -> str:
            nonlocal sequence
            sequence += 1
            return event({"type": kind, "sequence_number": sequence - 1, **said}, kind)

        output = Output(answer, calls=bool(_tools(self._body)))
        try:
            for name in ("response.created", "response.in_progress"):
                yield told(name, response=self._frame(answer, "in_progress", []))
            async for piece in pieces:
                for name, said in output.add(piece):
                    yield told(name, **said)
            for name, said in output.end():
                yield told(name, **said)
        except Problem as problem:
            error = {"code": "server_error", "message": problem.message}
            yield told("response.failed", response={**self._frame(answer, "failed", output.items), "error": error})
            problem.told = True
            raise
        ended = self._ended(answer, output)
        yield told(f"response.{ended['status']}", response=ended)

    def _ended(self, answer: Answer, output: Output) -> dict[str, Any]:
        reason = _INCOMPLETE.get(answer.finish or "")
        frame = self._frame(answer, "completed" if reason is None else "incomplete", output.items)
        usage = answer.usage
        return {
            **frame,
            "incomplete_details": None if reason is None else {"reason": reason},
            "usage": {
                "input_tokens": usage.prompt,
                "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
                "output_tokens": usage.completion,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage.prompt + usage.completion,
            },
            **sources_of(answer),
        }

    def _frame(self, answer: Answer, status: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        body = self._body
        form = {"format": {"type": "text"}}
        if body.text is not None and body.text.format is not None:
            form = {"format": body.text.format.model_dump(by_alias=True, exclude_none=True)}
        choice = body.tool_choice
        return {
            "id": answer.response,
            "object": "response",
            "created_at": answer.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "model": answer.served,
            "output": items,
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": None,
            "store": False,
            "temperature": 1.0 if body.temperature is None else body.temperature,
            "text": form,
            "tool_choice": choice.model_dump() if isinstance(choice, FunctionChoice) else choice or "auto",
            "top_logprobs": body.top_logprobs or 0,
            "tools": [tool.model_dump() for tool in body.tools],
            "top_p": 1.0 if body.top_p is None else body.top_p,
            "truncation": "disabled",
            "usage": None,
        }
