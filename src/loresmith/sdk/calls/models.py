"""Have a released model write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError
from loresmith.sdk.call import Answer, Call, Emit, Request

if TYPE_CHECKING:
    from loresmith.sdk.assets import AssetHandle
    from loresmith.sdk.workspace import Workspace


class Writing(Request):
    """Which model writes, and how its tokens are chosen."""

    release: str = Field(
        description="The release, such as `stdlib`; any other reference to a model will do.",
        json_schema_extra={"positional": True},
    )
    channel: Literal["candidate", "production"] | None = Field(
        default=None, description="The release's channel. Default: production, or candidate where there is none."
    )
    max_new_tokens: int = Field(default=128, ge=1, le=1_000_000, description="How many tokens to write at most.")
    temperature: float = Field(
        default=0.7, ge=0, le=10, description="How daring the choice of tokens is; 0 takes the likeliest each time."
    )
    top_p: float = Field(
        default=0.95, gt=0, le=1, description="Choose among the likeliest tokens that together have this probability."
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="The same seed gives the same text on the same machine.")

    def sampling(self) -> dict[str, Any]:
        """As the functions of `models/generate.py` take it."""
        return self.model_dump(include={"max_new_tokens", "temperature", "top_p", "seed"})


class CompleteRequest(Writing):
    """What `complete` takes."""

    prompt: str = Field(description="The text to go on from.", json_schema_extra={"positional": True})


class CompleteAnswer(Answer):
    """What a model wrote."""

    asset: str = Field(description="The digest of the model.")
    prompt: str = Field(description="The text that it went on from.")
    text: str = Field(description="What it wrote.")
    seconds: float = Field(description="Wall time, without loading the model.")


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"] = Field(description="Who says it.")
    content: str = Field(description="What is said.")


class ChatRequest(Writing):
    """What `chat` takes."""

    release: str = Field(
        description="The release, such as `stdlib`, or any other reference to a model; or the address of a gateway.",
        json_schema_extra={"positional": True, "metavar": "RELEASE | URL"},
    )
    message: str | None = Field(
        default=None,
        description="Say this, print the reply and leave. Default: a conversation, one line a turn.",
        json_schema_extra={"short": "m"},
    )
    system: str | None = Field(default=None, description="What the model is told before the conversation.")
    model: str | None = Field(
        default=None, description="Of a gateway: which of its models. Default: the only one that the key may ask."
    )
    key_file: Path | None = Field(
        default=None,
        description="Of a gateway: a file with the API key. Default: what the variable LORESMITH_API_KEY says.",
    )
    history: tuple[Message, ...] = Field(
        default=(), description="The conversation so far.", json_schema_extra={"api_only": True}
    )


class AnswerSource(BaseModel):
    """A passage that an answer rests on."""

    model_config = ConfigDict(frozen=True)

    number: int = Field(description="By which the answer names it: 1 is [1].")
    document: str = Field(description="The document's id.")
    path: str = Field(description="The file, and the record in it, if it has some.")
    pages: tuple[int, ...] = Field(description="The pages, slides, sheets or chapters; empty where there are none.")
    start: int = Field(description="Its first character in the document's text.")
    end: int = Field(description="The character behind its last.")


class ChatAnswer(Answer):
    """A conversation with the model's reply at its end."""

    asset: str = Field(description="The digest of the model; of a gateway's, its name there.")
    reply: str = Field(description="What the model said.")
    messages: tuple[Message, ...] = Field(description="The whole conversation, the reply last.")
    sources: tuple[AnswerSource, ...] = Field(
        default=(), description="Of a gateway's: the passages that were found for the reply."
    )
    seconds: float = Field(description="Wall time of the reply, without loading the model.")


def released_model(workspace: Workspace, release: str, channel: str | None) -> AssetHandle:
    """What a request means by its release and channel."""
    return workspace.assets[f"{release}@{channel}" if channel else release]


def written(pieces: Iterator[str], emit: Emit, event: str = "text") -> tuple[str, float]:
    """The whole text, and how many seconds it took; every piece is handed on as it comes."""
    started = time.monotonic()
    text = ""
    for piece in pieces:
        text += piece
        emit({"event": event, "text": piece})
    return text, time.monotonic() - started


def _complete(workspace: Workspace, request: CompleteRequest, emit: Emit) -> CompleteAnswer:
    handle = released_model(workspace, request.release, request.channel)
    model, tokenizer = handle.model()
    from loresmith.models.generate import complete

    text, seconds = written(complete(model, tokenizer, request.prompt, **request.sampling()), emit)
    return CompleteAnswer(asset=handle.digest, prompt=request.prompt, text=text, seconds=seconds)


def talking_model(workspace: Workspace, request: ChatRequest) -> AssetHandle:
    """The model of this workspace that a request means, loaded.

    Raises:
        UserError: there is none, it holds no conversations, or the request is for a gateway.
    """
    for option in ("model", "key_file"):
        if getattr(request, option) is not None:
            raise UserError("this is for a gateway", where=f"--{option.replace('_', '-')}", hint="give its address")
    handle = released_model(workspace, request.release, request.channel)
    _, tokenizer = handle.model()
    if not tokenizer.chat_template:
        raise UserError("this model's tokenizer carries no chat template", hint="use complete instead")
    return handle


def _chat(workspace: Workspace, request: ChatRequest, emit: Emit) -> ChatAnswer:
    handle = talking_model(workspace, request)
    model, tokenizer = handle.model()
    from loresmith.models.generate import chat

    messages = list(request.history)
    if request.system is not None and not messages:
        messages.append(Message(role="system", content=request.system))
    if request.message is not None:
        messages.append(Message(role="user", content=request.message))
    said = [message.model_dump() for message in messages]
    reply, seconds = written(chat(model, tokenizer, said, **request.sampling()), emit)
    messages.append(Message(role="assistant", content=reply))
    return ChatAnswer(asset=handle.digest, reply=reply, messages=tuple(messages), seconds=seconds)


COMPLETE = Call(
    "complete",
    "Have a released model go on from a text.",
    CompleteRequest,
    CompleteAnswer,
    _complete,
    example='complete stdlib "def parse_" --max-new-tokens 64',
)
CHAT = Call(
    "chat",
    "Talk with a released model, here or through a gateway.",
    ChatRequest,
    ChatAnswer,
    _chat,
    example="chat stdlib",
)
