"""OpenAI's requests as far as they are served here. A field that is not known is an error, not a wish unheard.

Fields that are taken and have no meaning here say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

NO_MEANING = "Taken so that clients need not be changed; it has no meaning here."
AS_ANSWERED = "As a grounded answer had it; not read again."
LOG_PROBABILITIES = "message.output_text.logprobs"
"""What `include` of `/v1/responses` has for log-probabilities."""


class Shape(BaseModel):
    """Base of the bodies: frozen, unknown keys rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StreamOptions(Shape):
    include_usage: bool = Field(default=False, description="Tell the tokens used in a last piece of the stream.")
    include_obfuscation: bool = Field(default=False, description=NO_MEANING)


class FunctionName(Shape):
    name: str = Field(min_length=1, max_length=200)


class NamedTool(Shape):
    type: Literal["function"] = "function"
    function: FunctionName


class Function(Shape):
    name: str = Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str | None = Field(default=None, max_length=1 << 16)
    parameters: dict[str, Any] | None = Field(default=None, description="JSON Schema of the arguments.")
    strict: bool | None = Field(default=None, description="Whether arguments must keep to the schema.")


class Tool(Shape):
    type: Literal["function"]
    function: Function


class SchemaFormat(Shape):
    name: str = Field(min_length=1, max_length=200)
    description: str | None = None
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")
    strict: bool | None = None


class ResponseFormat(Shape):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaFormat | None = None


StopString = Annotated[str, Field(max_length=200)]


class Choosing(Shape):
    """How tokens are chosen: OpenAI's fields, and those of vLLM's that the engines here have."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1, le=1_000_000, description="0 and -1 are all.")
    min_p: float | None = Field(default=None, ge=0, le=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    logit_bias: dict[int, Annotated[float, Field(ge=-100, le=100)]] | None = Field(default=None, max_length=1024)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: StopString | Annotated[tuple[StopString, ...], Field(max_length=16)] | None = Field(
        default=None, description="The answer ends before the first of these."
    )


class Asking(Choosing):
    """What chats and completions have in common."""

    model: str = Field(min_length=1, max_length=300, description="A name of `/v1/models`.")
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(
        default=None,
        ge=1,
        le=128,
        description="So many answers, at most what the endpoint's `limits.choices` lets one request ask for.",
    )
    user: str | None = Field(default=None, max_length=1000, description=NO_MEANING)
    metadata: dict[str, Any] | None = Field(
        default=None, description='`{"consent": true}` lets the conversation be learnt from.'
    )
    guided_regex: str | None = Field(
        default=None, max_length=10_000, description="The answer matches this expression (vLLM's name for it)."
    )
    guided_grammar: str | None = Field(
        default=None, max_length=100_000, description="The answer is a sentence of this Lark grammar (vLLM's name)."
    )


_ONLY_ASSISTANTS_MAY_BE_SILENT: dict[str, Any] = {
    "anyOf": [
        {"properties": {"role": {"const": "assistant"}}},
        {"properties": {"content": {"type": ["string", "array"]}}, "required": ["content"]},
    ]
}


class ChatMessage(Shape):
    """One turn. Whoever is no assistant says something: `chat_route` sees to it."""

    model_config = ConfigDict(json_schema_extra=_ONLY_ASSISTANTS_MAY_BE_SILENT)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | tuple[dict[str, Any], ...] | None = None
    name: str | None = Field(default=None, max_length=200)
    tool_calls: tuple[dict[str, Any], ...] | None = None
    tool_call_id: str | None = Field(default=None, max_length=200)
    refusal: str | None = None
    reasoning_content: str | None = None
    annotations: Any = Field(default=None, exclude=True, description=NO_MEANING)
    audio: None = None
    function_call: None = None
    sources: Any = Field(default=None, exclude=True, description=AS_ANSWERED)
    citations: Any = Field(default=None, exclude=True, description=AS_ANSWERED)
    unknown: Any = Field(default=None, exclude=True, description=AS_ANSWERED)


class ChatRequest(Asking):
    """The body of `/v1/chat/completions`."""

    messages: tuple[ChatMessage, ...] = Field(min_length=1, max_length=4096)
    max_tokens: int | None = Field(default=None, ge=1, le=1 << 24)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=1 << 24)
    tools: tuple[Tool, ...] = Field(default=(), max_length=256)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = Field(default=None, description="False: one call at most.")
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    store: bool | None = Field(default=None, description=NO_MEANING)
    service_tier: str | None = Field(default=None, description=NO_MEANING)
    reasoning_effort: str | None = Field(default=None, description=NO_MEANING)
    verbosity: str | None = Field(default=None, description=NO_MEANING)
    prompt_cache_key: str | None = Field(default=None, description=NO_MEANING)
    safety_identifier: str | None = Field(default=None, description=NO_MEANING)
    modalities: tuple[Literal["text"], ...] | None = None


TokenIds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1)]


class CompletionRequest(Asking):
    """The body of `/v1/completions`."""

    prompt: str | TokenIds = Field(description="One text, or its token ids.")
    max_tokens: int | None = Field(default=16, ge=1, le=1 << 24)
    logprobs: int | None = Field(default=None, ge=0, le=20)
    echo: bool | None = Field(default=False, description="Begin the answer with the prompt.")
    suffix: None = Field(default=None, description="Filling gaps is not served: `loresmith fill`.")
    best_of: int | None = Field(default=None, ge=1, le=1)


class FunctionTool(Shape):
    """A tool as `/v1/responses` has it."""

    type: Literal["function"]
    name: str = Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str | None = Field(default=None, max_length=1 << 16)
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionChoice(Shape):
    type: Literal["function"]
    name: str


class TextFormat(Shape):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class TextSettings(Shape):
    format: TextFormat | None = None
    verbosity: str | None = Field(default=None, description=NO_MEANING)


class ResponsesRequest(Shape):
    """The body of `/v1/responses`: text and function calls, without state on the server."""

    model: str = Field(min_length=1, max_length=300)
    input: str | tuple[dict[str, Any], ...]
    instructions: str | None = None
    max_output_tokens: int | None = Field(default=None, ge=1, le=1 << 24)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    tools: tuple[FunctionTool, ...] = Field(default=(), max_length=256)
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextSettings | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = Field(default=None, description=NO_MEANING)
    metadata: dict[str, Any] | None = None
    user: str | None = Field(default=None, description=NO_MEANING)
    store: Literal[False] | None = Field(default=None, description="Nothing is kept for later requests.")
    previous_response_id: None = Field(default=None, description="Send the conversation again instead.")
    truncation: Literal["disabled"] | None = None
    include: tuple[str, ...] | None = Field(
        default=None, description=f"`{LOG_PROBABILITIES}` tells log-probabilities; others have no meaning here."
    )
    top_logprobs: int | None = Field(
        default=None, ge=0, le=20, description="Of how many other tokens the log-probabilities are told, too."
    )
    service_tier: str | None = Field(default=None, description=NO_MEANING)
    reasoning: dict[str, Any] | None = Field(default=None, description=NO_MEANING)
    prompt_cache_key: str | None = Field(default=None, description=NO_MEANING)
    safety_identifier: str | None = Field(default=None, description=NO_MEANING)


class EmbeddingsRequest(Shape):
    """The body of `/v1/embeddings`."""

    model: str = Field(min_length=1, max_length=300)
    input: str | tuple[str, ...] = Field(description="One text or several.")
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(default=None, ge=1, description="Must be what the model has.")
    user: str | None = Field(default=None, description=NO_MEANING)


def plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message without what it does not say."""
    return {key: value for key, value in message.items() if value is not None}
