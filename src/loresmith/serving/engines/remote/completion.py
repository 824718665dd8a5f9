"""OpenAI's completions protocol, with what vLLM adds to it: a request's body, and the pieces of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loresmith.errors import UserError
from loresmith.serving.engines.generation import Chosen, Generation
from loresmith.serving.engines.remote.settings import RemoteServer

_ID = "token_id:"
"""How vLLM writes a token for `return_tokens_as_token_ids`."""

_FORMS = {"json_schema": "json", "regex": "regex", "grammar": "grammar"}


class MalformedAnswer(ValueError):
    """A piece that is not one of the protocol."""


@dataclass(frozen=True)
class Piece:
    """What came with one event.

    Attributes:
        tokens: with their ids; None where the server tells text only.
        spelled: of a server that tells text only, the text and log-probability of each token, if it tells those.
        finish: `stop` or `length`, with the last piece.
        cached: tokens of the prompt that had been computed before; with the usage.
    """

    tokens: tuple[Chosen, ...] | None = ()
    text: str = ""
    spelled: tuple[tuple[str, float | None], ...] = ()
    finish: str | None = None
    cached: int = 0


def completion_body(
    generation: Generation, server: RemoteServer, window: int, ends: Sequence[int], salt: str
) -> dict[str, Any]:
    """The body of a request. Stop strings are not sent: they are looked for here, as for every engine.

    Args:
        ends: the model's own.
        salt: what of prompts was computed is reused among requests of the same one only.

    Raises:
        UserError: the server's dialect has no word for what is asked for.
    """
    sampling = generation.sampling
    body: dict[str, Any] = {
        "model": generation.adapter or server.model,
        "prompt": list(generation.prompt),
        "max_tokens": min(generation.max_new_tokens, window - len(generation.prompt)),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed % 2**63,
        "stream": True,
        "stream_options": {"include_usage": True},
        "logprobs": generation.alternatives or 0,
    }
    if sampling.logit_bias:
        body["logit_bias"] = {str(token): bias for token, bias in sorted(sampling.logit_bias.items())}
    if server.dialect == "openai":
        _require_plain(generation)
        return body
    body |= {
        "top_k": sampling.top_k or -1,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "min_tokens": min(generation.min_new_tokens, body["max_tokens"]),
        "stop_token_ids": sorted({*generation.ends, *ends}),
        "skip_special_tokens": True,
        "add_special_tokens": False,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
        "cache_salt": salt,
    }
    if generation.constraint is not None:
        body["structured_outputs"] = {_FORMS[generation.constraint.kind]: generation.constraint.value}
    return body


def read_piece(event: Any, alternatives: int | None, *, scored: bool = False) -> Piece:
    """One event's data.

    Args:
        alternatives: so many were asked for; None: no log-probabilities either.
        scored: without alternatives too, the log-probabilities that the server gives, if it gives any.

    Raises:
        MalformedAnswer: it is none of this protocol, or tells of an error.
    """
    try:
        if "error" in event:
            said = event["error"]
            raise MalformedAnswer(str(said.get("message", said) if isinstance(said, dict) else said))
        usage = event.get("usage") or {}
        cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
        if not event["choices"]:
            return Piece(cached=cached)
        choice = event["choices"][0]
        finish = choice.get("finish_reason")
        if finish not in (None, "stop", "length"):
            raise MalformedAnswer(f"the answer ended for an unknown reason, {finish}")
        told = choice.get("logprobs") or {}
        text = choice.get("text") or ""
        tokens = _tokens(choice, told, alternatives, scored)
        spelled = () if tokens is not None else _spelled(told)
        return Piece(tokens, text, spelled, finish, cached)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        if isinstance(error, MalformedAnswer):
            raise
        raise MalformedAnswer(f"a piece of the answer has another form than OpenAI's ({error!r})") from error


def _tokens(
    choice: dict[str, Any], told: dict[str, Any], alternatives: int | None, scored: bool
) -> tuple[Chosen, ...] | None:
    """The tokens with their ids; None where there is text and no id."""
    ids = choice.get("token_ids")
    names = told.get("tokens") or []
    if ids is None and names and all(str(name).startswith(_ID) for name in names):
        ids = [_id(name) for name in names]
    if ids is None:
        return None if choice.get("text") or names else ()
    if alternatives is None:
        # Nobody asked for these: where they do not fit, the answer is as good without.
        given: Any = told.get("token_logprobs") if scored else None
        fits = isinstance(given, list) and len(given) == len(ids) and all(isinstance(one, int | float) for one in given)
        scores = given if fits else [None] * len(ids)
        return tuple(Chosen(id=int(id_), log_probability=value) for id_, value in zip(ids, scores, strict=True))
    values = told.get("token_logprobs") or [None] * len(ids)
    tops = told.get("top_logprobs") or [None] * len(ids)
    return tuple(
        Chosen(id=int(id_), log_probability=value, alternatives=_alternatives(top)[:alternatives])
        for id_, value, top in zip(ids, values, tops, strict=True)
    )


def _alternatives(top: dict[str, float] | None) -> tuple[tuple[int, float], ...]:
    named = [(_id(name), value) for name, value in (top or {}).items() if name.startswith(_ID)]
    return tuple(sorted(named, key=lambda pair: -pair[1]))


def _spelled(told: dict[str, Any]) -> tuple[tuple[str, float | None], ...]:
    texts = told.get("tokens") or []
    return tuple(zip(map(str, texts), told.get("token_logprobs") or [None] * len(texts), strict=True))


def _id(name: str) -> int:
    return int(name.removeprefix(_ID))


def _require_plain(generation: Generation) -> None:
    """Raise UserError for what OpenAI's protocol has no word for."""
    sampling = generation.sampling
    asked = {
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty != 1,
        "min_new_tokens": generation.min_new_tokens,
        "a form of the answer": generation.constraint is not None,
    }
    missing = [name for name, wanted in asked.items() if wanted]
    if missing:
        raise UserError(f"the server that computes this model takes no {missing[0]}", hint="vLLM does: `dialect: vllm`")
