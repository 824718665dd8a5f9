"""What `/v1/responses` takes for a conversation, as messages of `/v1/chat/completions`.

Nothing is kept between requests, so an item that stands for something kept, such as `item_reference`, is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError

from loresmith.serving.gateway.mistakes import problem_of
from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.shapes import NO_MEANING, ResponsesRequest, Shape


class TextPart(Shape):
    """A piece of a message. Answers come back as they went out, with all that stood in them."""

    type: Literal["input_text", "output_text", "text"]
    text: str
    annotations: Any = Field(default=None, description=NO_MEANING)
    logprobs: Any = Field(default=None, description=NO_MEANING)
    parsed: Any = Field(default=None, description=NO_MEANING)


class RefusalPart(Shape):
    type: Literal["refusal"]
    refusal: str


class MessageItem(Shape):
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[TextPart | RefusalPart, ...]
    id: str | None = Field(default=None, description=NO_MEANING)
    status: str | None = Field(default=None, description=NO_MEANING)
    phase: str | None = Field(default=None, description=NO_MEANING)


class FunctionCallItem(Shape):
    type: Literal["function_call"]
    call_id: str = Field(max_length=200)
    name: str = Field(max_length=200)
    arguments: str
    id: str | None = Field(default=None, description=NO_MEANING)
    status: str | None = Field(default=None, description=NO_MEANING)
    parsed_arguments: Any = Field(default=None, description=NO_MEANING)


class FunctionOutputItem(Shape):
    type: Literal["function_call_output"]
    call_id: str = Field(max_length=200)
    output: str | tuple[TextPart, ...]
    id: str | None = Field(default=None, description=NO_MEANING)
    status: str | None = Field(default=None, description=NO_MEANING)


_ITEMS: Mapping[str, type[Shape]] = {
    "message": MessageItem,
    "function_call": FunctionCallItem,
    "function_call_output": FunctionOutputItem,
}
_MOST_ITEMS = 4096


def messages_of(body: ResponsesRequest) -> tuple[dict[str, Any], ...]:
    """The conversation of a request.

    Raises:
        Problem: naming the item that is wrong.
    """
    messages: list[dict[str, Any]] = []
    if body.instructions is not None:
        messages.append({"role": "system", "content": body.instructions})
    if isinstance(body.input, str):
        return (*messages, {"role": "user", "content": body.input})
    if not 0 < len(body.input) <= _MOST_ITEMS:
        raise Problem(400, f"input: 1 to {_MOST_ITEMS} items", code="invalid_request", param="input")
    for number, written in enumerate(body.input):
        _add(messages, _item(number, written))
    return tuple(messages)


def _item(number: int, written: Mapping[str, Any]) -> Shape:
    kind = written.get("type", "message")
    shape = _ITEMS.get(kind) if isinstance(kind, str) else None
    where = f"input.{number}"
    if shape is None:
        message = f"{where}: this kind of item is not served; {', '.join(_ITEMS)} are"
        raise Problem(400, message, code="invalid_request", param=where)
    try:
        return shape.model_validate(written)
    except ValidationError as error:
        raise problem_of(error, shape, where) from None


def _add(messages: list[dict[str, Any]], item: Shape) -> None:
    if isinstance(item, MessageItem):
        messages.append({"role": item.role, "content": _content(item.content)})
    elif isinstance(item, FunctionCallItem):
        call = {
            "id": item.call_id,
            "type": "function",
            "function": {"name": item.name, "arguments": item.arguments},
        }
        # In a chat, the calls of a turn stand in its message.
        if messages and messages[-1]["role"] == "assistant":
            messages[-1].setdefault("tool_calls", []).append(call)
        else:
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    elif isinstance(item, FunctionOutputItem):
        messages.append({"role": "tool", "tool_call_id": item.call_id, "content": _content(item.output)})


def _content(content: str | Sequence[TextPart | RefusalPart]) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    return [{"type": "text", "text": part.text if isinstance(part, TextPart) else part.refusal} for part in content]
