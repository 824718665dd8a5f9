"""`/v1/chat/completions`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from loresmith.serving.engines.generation import Chosen, Constraint, Grammar, JsonSchema, Regex
from loresmith.serving.gateway.answer import Answer
from loresmith.serving.gateway.asked import Asked, Piece, Usage, sampling_of
from loresmith.serving.gateway.body_route import came_long
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.log_probabilities import told_token
from loresmith.serving.gateway.long_text import worked
from loresmith.serving.gateway.outgoing import Outgoing
from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.shapes import Asking, ChatRequest, NamedTool, ResponseFormat, plain
from loresmith.serving.gateway.sound_messages import require_sound
from loresmith.serving.gateway.streams import DONE, event, respond


async def chat(gateway: Gateway, request: Request, body: ChatRequest) -> Response:
    """Answer a conversation."""
    asked = await worked(came_long(request), asked_of, body)
    return await respond(gateway, request, asked, _Events(body).events, _whole)


def asked_of(body: ChatRequest) -> Asked:
    """What the body asks for.

    Raises:
        Problem: a message says nothing or cannot be read, or two of its wishes exclude each other.
    """
    _require_content(body)
    messages = tuple(plain(message.model_dump()) for message in body.messages)
    require_sound(messages)
    tools = tuple(tool.model_dump(exclude_none=True) for tool in body.tools) if body.tool_choice != "none" else ()
    call = _call(body)
    constraint, schema = form_of(body, body.response_format)
    if call is not None and constraint is not None:
        raise Problem(400, "a call of a tool and a form of the answer exclude each other", param="tool_choice")
    if body.logprobs is not True and body.top_logprobs is not None:
        raise Problem(400, "top_logprobs needs `logprobs: true`", param="top_logprobs")
    return Asked(
        route="/v1/chat/completions",
        model=body.model,
        messages=messages,
        tools=tools,
        call=call,
        one_call=body.parallel_tool_calls is False,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        sampling=sampling_of(vars(body)),
        seeded=body.seed is not None,
        choices=body.n or 1,
        stop=stops(body),
        constraint=constraint,
        schema=schema,
        alternatives=(body.top_logprobs or 0) if body.logprobs else None,
        stream=bool(body.stream),
        consent=consents(body.metadata),
    )


def _require_content(body: ChatRequest) -> None:
    for number, message in enumerate(body.messages):
        if message.content is None and message.role != "assistant":
            place = f"messages.{number}.content"
            raise Problem(400, f"{place}: must be a text or a list of parts", code="invalid_request", param=place)


def stops(body: Asking) -> tuple[str, ...]:
    return (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())


def consents(metadata: dict[str, Any] | None) -> bool:
    """Whether a request lets its conversation be learnt from: only a plain yes is one."""
    return (metadata or {}).get("consent") in (True, "true")


def usage_of(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }


def sources_of(answer: Answer, choice: int = 0) -> dict[str, Any]:
    """What a grounded answer carries besides: its passages, and what its marks stand for."""
    cited = answer.cited(choice)
    if cited is None:
        return {}
    passages = [
        {
            "number": passage.number,
            "document": passage.document,
            "path": passage.path,
            "pages": list(passage.pages),
            "start": passage.start,
            "end": passage.end,
        }
        for passage in answer.passages
    ]
    return {"sources": passages, **cited.model_dump(mode="json")}


def fingerprint(answer: Answer) -> str:
    """Changes whenever the model, its adapter, the engine or the policy does."""
    model, facts = answer.model, answer.model.host.facts
    engine = "" if facts is None else f"{facts.engine}-{facts.precision}"
    adapter = "" if answer.adapter is None else f"+{model.adapters[answer.adapter].digest[:8]}"
    return f"{model.digest[:16]}{adapter}-{engine}-{answer.rules.policy.digest[:8]}"


def _call(body: ChatRequest) -> str | None:
    choice = body.tool_choice
    if choice in (None, "none", "auto"):
        return None
    if not body.tools:
        raise Problem(400, "a tool is to be called and none is given", param="tool_choice")
    if isinstance(choice, NamedTool):
        name = choice.function.name
        if name not in [tool.function.name for tool in body.tools]:
            raise Problem(400, f"there is no tool {name!r}", param="tool_choice")
        return name
    return "any"


def form_of(body: Asking, wanted: ResponseFormat | None) -> tuple[Constraint | None, dict[str, Any] | None]:
    """The constraint that a body asks for, and the schema if it is one."""
    found: list[tuple[Constraint, dict[str, Any] | None]] = []
    if wanted is not None and wanted.type != "text":
        schema: dict[str, Any] = {"type": "object"}
        if wanted.type == "json_schema":
            if wanted.json_schema is None:
                place = "response_format.json_schema"
                raise Problem(400, f"{place}: this field is missing", code="invalid_request", param=place)
            schema = wanted.json_schema.schema_
        found.append((JsonSchema(value=schema), schema))
    if body.guided_regex is not None:
        found.append((Regex(value=body.guided_regex), None))
    if body.guided_grammar is not None:
        found.append((Grammar(value=body.guided_grammar), None))
    if len(found) > 1:
        raise Problem(400, "an answer has one form: a schema, an expression or a grammar", param="response_format")
    return found[0] if found else (None, None)


def _whole(answer: Answer, pieces: list[Piece]) -> dict[str, Any]:
    choices = [
        {
            "index": choice.index,
            "message": {**choice.message(), **sources_of(answer, choice.index)},
            "finish_reason": choice.finish,
            "logprobs": _logprobs(answer, tokens_of(pieces, choice.index)),
        }
        for choice in answer.choices
    ]
    return {
        "id": answer.response,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.served,
        "system_fingerprint": fingerprint(answer),
        "choices": choices,
        "usage": usage_of(answer.usage),
    }


def tokens_of(pieces: Sequence[Piece], choice: int) -> list[Chosen]:
    """The tokens of one of the answers."""
    return [token for piece in pieces if piece.choice == choice for token in piece.tokens]


def _logprobs(answer: Answer, tokens: Sequence[Chosen]) -> dict[str, Any] | None:
    if not tokens:
        return None
    return {"content": [told_token(answer.model, token) for token in tokens], "refusal": None}


class _Events:
    """The chunks of a stream."""

    def __init__(self, body: ChatRequest) -> None:
        options = body.stream_options
        self._usage = options is not None and options.include_usage

    async def events(self, answer: Answer, pieces: AsyncGenerator[Piece]) -> AsyncGenerator[str]:
        for choice in answer.choices:
            yield event(self._chunk(answer, choice.index, {"role": "assistant", "content": ""}))
        calls = [0] * len(answer.choices)
        open_ = dict(enumerate(answer.choices))
        async for piece in pieces:
            at = piece.choice
            delta: dict[str, Any] = {}
            if piece.text:
                delta["content"] = piece.text
            if piece.refusal is not None:
                delta["refusal"] = piece.refusal
            if piece.calls:
                delta["tool_calls"] = [
                    {
                        "index": calls[at] + number,
                        "id": call.id,
                        "type": "function",
                        "function": {"name": call.name, "arguments": call.arguments},
                    }
                    for number, call in enumerate(piece.calls)
                ]
                calls[at] += len(piece.calls)
            if delta or piece.tokens:
                yield event(self._chunk(answer, at, delta, logprobs=_logprobs(answer, piece.tokens)))
            if answer.choices[at].finish is not None:
                yield event(self._end(answer, open_.pop(at)))
        for choice in open_.values():  # those whose last piece had nothing to say
            yield event(self._end(answer, choice))
        if self._usage:
            yield event({**self._frame(answer), "choices": [], "usage": usage_of(answer.usage)})
        yield DONE

    def _end(self, answer: Answer, choice: Outgoing) -> dict[str, Any]:
        return self._chunk(answer, choice.index, sources_of(answer, choice.index), finish=choice.finish)

    def _chunk(self, answer: Answer, index: int, delta: dict[str, Any], **more: Any) -> dict[str, Any]:
        choice = {
            "index": index,
            "delta": delta,
            "finish_reason": more.get("finish"),
            "logprobs": more.get("logprobs"),
        }
        return {**self._frame(answer), "choices": [choice], **({"usage": None} if self._usage else {})}

    @staticmethod
    def _frame(answer: Answer) -> dict[str, Any]:
        return {
            "id": answer.response,
            "object": "chat.completion.chunk",
            "created": answer.created,
            "model": answer.served,
            "system_fingerprint": fingerprint(answer),
        }
