"""An answer as `/v1/responses` tells it: items, and the typed events by which they grow.

The items of a whole answer are made in the same way as those of a stream, so the two cannot differ. Log-probabilities
belong to a text: where functions may be called, the tokens wait until the text is over, since a call's are none of it.
"""

from __future__ import annotations

import secrets
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, Literal

from loresmith.serving.engines.generation import Chosen
from loresmith.serving.gateway.answer import Answer
from loresmith.serving.gateway.asked import Piece, ToolCall
from loresmith.serving.gateway.log_probabilities import told_token

Told = tuple[str, dict[str, Any]]
"""An event's type, and what it says besides."""

_WORDS = {"output_text": "text", "refusal": "refusal"}


class Output:
    """The items of one answer.

    Args:
        calls: whether functions may be called in it.

    Attributes:
        items: so far.
    """

    def __init__(self, answer: Answer, *, calls: bool) -> None:
        self._answer = answer
        self._calls = calls
        self._tokens: list[Chosen] = []  # that wait for the end of the text
        self._first_call: int | None = None  # where in the text it was
        self._message: int | None = None
        self.items: list[dict[str, Any]] = []

    def add(self, piece: Piece) -> Iterator[Told]:
        """What is said next."""
        if self._calls:
            self._tokens += piece.tokens
        tokens = () if self._calls else piece.tokens
        if piece.text or tokens:
            yield from self._say("output_text", piece.text, tokens)
        if piece.calls and self._first_call is None:
            self._first_call = 0 if self._message is None else len(self._parts[-1].get("text", ""))
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

    def _say(self, kind: Literal["output_text", "refusal"], text: str, tokens: Sequence[Chosen] = ()) -> Iterator[Told]:
        yield from self._open(kind)
        assert self._message is not None
        part = self._parts[-1]
        part[_WORDS[kind]] += text
        logprobs: dict[str, Any] = {}
        if kind == "output_text":
            logprobs["logprobs"] = [self._told(token) for token in tokens]
            part["logprobs"] += logprobs["logprobs"]
        yield f"response.{kind}.delta", {**self._place(), "delta": text, **logprobs}

    def _told(self, token: Chosen) -> dict[str, Any]:
        """A token as this protocol has it: where its bytes cannot be known, there are none."""
        told = told_token(self._answer.model, token)
        for one in (told, *told["top_logprobs"]):
            one["bytes"] = one["bytes"] or []
        return told

    def _waiting(self, text: str) -> list[Chosen]:
        """Of the tokens that wait, those that spell a text, up to the first call of a function."""
        length = len(text) if self._first_call is None else self._first_call
        ids, decode = [token.id for token in self._tokens], self._answer.model.tokenizer.decode
        count = bisect_left(range(len(ids)), length, key=lambda so_many: len(str(decode(ids[:so_many]))))
        return self._tokens[:count]

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
            if tokens := self._waiting(part["text"]):
                yield from self._say("output_text", "", tokens)
            for number, annotation in enumerate(self._annotations()):
                part["annotations"].append(annotation)
                told = {**place, "annotation_index": number, "annotation": annotation}
                yield "response.output_text.annotation.added", told
            yield "response.output_text.done", {**place, "text": part["text"], "logprobs": part["logprobs"]}
        else:
            yield "response.refusal.done", {**place, "refusal": part["refusal"]}
        yield "response.content_part.done", {**place, "part": deepcopy(part)}

    def _annotations(self) -> list[dict[str, Any]]:
        """The marks in the text in OpenAI's form for files, with all that is known of the place besides."""
        cited = self._answer.cited()
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
