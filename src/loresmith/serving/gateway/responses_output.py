"""An answer as `/v1/responses` tells it: items, and the typed events by which they grow.

The items of a whole answer are made in the same way as those of a stream, so the two cannot differ.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Literal

from loresmith.serving.gateway.answer import Answer
from loresmith.serving.gateway.asked import Piece, ToolCall

Told = tuple[str, dict[str, Any]]
"""An event's type, and what it says besides."""

_WORDS = {"output_text": "text", "refusal": "refusal"}


class Output:
    """The items of one answer.

    Attributes:
        items: so far.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._message: int | None = None
        self.items: list[dict[str, Any]] = []

    def add(self, piece: Piece) -> Iterator[Told]:
        """What is said next."""
        if piece.text:
            yield from self._say("output_text", piece.text)
        for call in piece.calls:
            yield from self._call(call)
        if piece.refusal is not None:
            yield from self._say("refusal", piece.refusal)

    def end(self) -> Iterator[Told]:
        """The end of what is said; an answer without a word is an empty one."""
        if not self.items:
            yield from self._open("output_text")
        if self._message is not None:
            yield from self._part_done()
            message = self.items[self._message]
            message["status"] = "completed" if self._answer.finish in ("stop", "tool_calls") else "incomplete"
            yield "response.output_item.done", {"output_index": self._message, "item": deepcopy(message)}

    def _say(self, kind: Literal["output_text", "refusal"], text: str) -> Iterator[Told]:
        yield from self._open(kind)
        assert self._message is not None
        self._parts[-1][_WORDS[kind]] += text
        logprobs: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        yield f"response.{kind}.delta", {**self._place(), "delta": text, **logprobs}

    def _open(self, kind: Literal["output_text", "refusal"]) -> Iterator[Told]:
        """The message and its part that is to be gone on with, where they are not open yet."""
        if self._message is None:
            self._message = len(self.items)
            message = {"id": _id("msg"), "type": "message", "role": "assistant", "status": "in_progress", "content": []}
            self.items.append(message)
            yield "response.output_item.added", {"output_index": self._message, "item": deepcopy(message)}
        if self._parts and self._parts[-1]["type"] == kind:
            return
        if self._parts:
            yield from self._part_done()
        part: dict[str, Any] = {"type": kind, _WORDS[kind]: ""}
        if kind == "output_text":
            part |= {"annotations": [], "logprobs": []}
        self._parts.append(part)
        yield "response.content_part.added", {**self._place(), "part": deepcopy(part)}

    def _part_done(self) -> Iterator[Told]:
        part, place = self._parts[-1], self._place()
        kind = part["type"]
        if kind == "output_text":
            for number, annotation in enumerate(self._annotations()):
                part["annotations"].append(annotation)
                told = {**place, "annotation_index": number, "annotation": annotation}
                yield "response.output_text.annotation.added", told
            yield "response.output_text.done", {**place, "text": part["text"], "logprobs": []}
        else:
            yield "response.refusal.done", {**place, "refusal": part["refusal"]}
        yield "response.content_part.done", {**place, "part": deepcopy(part)}

    def _annotations(self) -> list[dict[str, Any]]:
        """The marks in the text in OpenAI's form for files, with all that is known of the place besides."""
        cited = self._answer.cited
        if cited is None:
            return []
        return [
            {
                "type": "file_citation",
                "file_id": citation.document,
                "filename": citation.path,
                "index": citation.answer_start,
                **citation.model_dump(mode="json"),
            }
            for citation in cited.citations
        ]

    def _call(self, call: ToolCall) -> Iterator[Told]:
        index = len(self.items)
        item = {
            "id": _id("fc"),
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": "",
            "status": "in_progress",
        }
        yield "response.output_item.added", {"output_index": index, "item": dict(item)}
        place = {"item_id": item["id"], "output_index": index}
        yield "response.function_call_arguments.delta", {**place, "delta": call.arguments}
        item |= {"arguments": call.arguments, "status": "completed"}
        self.items.append(item)
        whole = {**place, "name": call.name, "arguments": call.arguments}
        yield "response.function_call_arguments.done", whole
        yield "response.output_item.done", {"output_index": index, "item": dict(item)}

    @property
    def _parts(self) -> list[dict[str, Any]]:
        assert self._message is not None
        parts: list[dict[str, Any]] = self.items[self._message]["content"]
        return parts

    def _place(self) -> dict[str, Any]:
        assert self._message is not None
        return {
            "item_id": self.items[self._message]["id"],
            "output_index": self._message,
            "content_index": len(self._parts) - 1,
        }


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(16)}"
