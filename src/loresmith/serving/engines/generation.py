"""What an engine is asked for, and what it says: the words of the `Engine` protocol.

Everything here can be sent to another process as JSON.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_ALTERNATIVES = 20
"""Of a token's alternatives, so many are told with their log-probabilities at most, as in OpenAI's API."""

FinishReason = Literal["stop", "length", "refused", "failed"]
"""`stop`: the model ended, or wrote a stop string; `length`: the limit of tokens or of the window was reached;
`refused`: the request can never be carried out; `failed`: the engine broke."""


class Words(BaseModel):
    """Base of the models here: frozen, unknown keys rejected."""

    # Numbers beyond all bounds go through JSON as Python writes them, since the other end is Python too.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Sampling(Words):
    """How each token is chosen.

    In this order: the constraint's mask, penalties and biases on the logits; temperature; then `top_k`, `top_p` and
    `min_p` each leave out what they leave out of the distribution at that temperature, and one token is drawn.
    """

    temperature: float = Field(
        default=1.0, ge=0, le=100, description="Divides the logits; 0 takes the likeliest token."
    )
    top_k: int = Field(default=0, ge=0, description="Choose among so many of the likeliest tokens; 0 is all of them.")
    top_p: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Choose among the likeliest tokens that together have this probability (Holtzman et al. 2020).",
    )
    min_p: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Choose among tokens at least this share as probable as the likeliest (Nguyen et al. 2024).",
    )
    presence_penalty: float = Field(
        default=0.0, ge=-2, le=2, description="Taken from the logit of every token that the answer holds already."
    )
    frequency_penalty: float = Field(
        default=0.0, ge=-2, le=2, description="Taken from a token's logit as often as the answer holds it already."
    )
    repetition_penalty: float = Field(
        default=1.0,
        gt=0,
        le=10,
        description="Divides the positive logits, and multiplies the negative ones, of tokens that the prompt or the "
        "answer hold already (Keskar et al. 2019).",
    )
    logit_bias: dict[int, float] = Field(default_factory=dict, description="Added to the logits of these token ids.")
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**64,
        description="With the same model and prompt, the same seed gives the same tokens whatever else is served.",
    )


class JsonSchema(Words):
    """The answer is JSON that this schema accepts."""

    kind: Literal["json_schema"] = "json_schema"
    value: dict[str, Any] | bool = Field(description="The schema; `true` accepts any JSON.")


class Regex(Words):
    """The answer matches a regular expression, from its first character to its last."""

    kind: Literal["regex"] = "regex"
    value: str


class Grammar(Words):
    """The answer is a sentence of a context-free grammar in Lark's notation, from the rule `start`."""

    kind: Literal["grammar"] = "grammar"
    value: str


Constraint = Annotated[JsonSchema | Regex | Grammar, Field(discriminator="kind")]


class Generation(Words):
    """One request to go on from token ids."""

    id: str = Field(min_length=1, description="Tells its emissions from those of others.")
    prompt: tuple[int, ...] = Field(min_length=1, description="The token ids to go on from.")
    max_new_tokens: int = Field(ge=1, description="So many tokens are written at most.")
    min_new_tokens: int = Field(default=0, ge=0, description="The model cannot end before so many are written.")
    sampling: Sampling = Field(default_factory=Sampling)
    stop: tuple[str, ...] = Field(default=(), description="The text ends before the first of these strings.")
    ends: tuple[int, ...] = Field(default=(), description="Token ids that end the answer besides the model's own.")
    constraint: Constraint | None = Field(default=None, description="What form the answer must have.")
    alternatives: int | None = Field(
        default=None,
        ge=0,
        le=MOST_ALTERNATIVES,
        description="Tell every token's log-probability, and so many of its likeliest alternatives; null tells none.",
    )
    scored: bool = Field(
        default=False,
        description="Tell every token's log-probability also without alternatives, where the engine knows it: for who "
        "keeps figures of answers.",
    )
    adapter: str | None = Field(default=None, description="The adapter that this request is for; null is the model.")
    scope: str = Field(
        default="",
        description="Whose request it is. Work on a prompt's beginning is reused for requests of the same scope only; "
        "an empty one is reused for nobody.",
    )


class Chosen(Words):
    """One token, and how probable the model held it; before temperature, penalties and constraints."""

    id: int
    log_probability: float | None = None
    alternatives: tuple[tuple[int, float], ...] = Field(
        default=(), description="The likeliest tokens at its place with their log-probabilities, the likeliest first."
    )


class Emission(Words):
    """What became known of a request in one step."""

    id: str
    tokens: tuple[Chosen, ...] = Field(default=(), description="The new tokens; those that end an answer among them.")
    text: str = Field(default="", description="What is certain of the text by now, and was not told before.")
    finished: FinishReason | None = None
    stopped_by: str | None = Field(default=None, description="The stop string that was met.")
    cached_tokens: int = Field(default=0, description="Tokens of the prompt that had been computed before.")
    error: str | None = Field(default=None, description="Why, in plain words, where it was refused or failed.")


class EngineFacts(Words):
    """What can be known of an engine that has loaded its model."""

    engine: str = Field(description="torch, openvino or openai.")
    precision: str = Field(description="bf16, fp32, int8, ... or what a remote server says of itself.")
    window: int = Field(ge=1, description="Tokens of prompt and answer together that a request may have.")
    slots: int = Field(ge=1, description="Requests that are worked on at the same time.")
    vocabulary_size: int = Field(ge=1)
    path: str = Field(description="Which code computes the model, such as `fast, compiled` or `generic`.")
    adapters: tuple[str, ...] = ()
    version: str = Field(default="", description="Of the software that computes, where it is known.")
