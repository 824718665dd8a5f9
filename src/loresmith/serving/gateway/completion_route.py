"""`/v1/completions`: go on from a text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from loresmith.serving.engines.generation import Chosen
from loresmith.serving.gateway.answer import Answer
from loresmith.serving.gateway.asked import Asked, Piece, sampling_of
from loresmith.serving.gateway.chat_route import consents, fingerprint, form_of, stops, tokens_of, usage_of
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.shapes import CompletionRequest
from loresmith.serving.gateway.streams import DONE, event, respond


async def complete(gateway: Gateway, request: Request, body: CompletionRequest) -> Response:
    """Go on from a text."""
    constraint, schema = form_of(body, None)
    asked = Asked(
        route="/v1/completions",
        model=body.model,
        messages=None,
        prompt=body.prompt,
        max_tokens=body.max_tokens,
        sampling=sampling_of(vars(body)),
        seeded=body.seed is not None,
        choices=body.n or 1,
        stop=stops(body),
        constraint=constraint,
        schema=schema,
        alternatives=body.logprobs,
        stream=bool(body.stream),
        consent=consents(body.metadata),
    )
    shown = _Shown(body)
    return await respond(gateway, request, asked, shown.events, shown.whole)


class _Shown:
    """How the answer is told."""

    def __init__(self, body: CompletionRequest) -> None:
        self._body = body
        self._usage = body.stream_options is not None and body.stream_options.include_usage

    def whole(self, answer: Answer, pieces: list[Piece]) -> dict[str, Any]:
        choices = [
            self._choice(
                answer, choice.index, self._echo(answer) + choice.text, choice.finish, tokens_of(pieces, choice.index)
            )
            for choice in answer.choices
        ]
        return {**self._frame(answer, *choices), "usage": usage_of(answer.usage)}

    async def events(self, answer: Answer, pieces: AsyncGenerator[Piece]) -> AsyncGenerator[str]:
        if self._body.echo:
            for choice in answer.choices:
                yield self._told(answer, choice.index, self._echo(answer))
        open_ = dict(enumerate(answer.choices))
        async for piece in pieces:
            at = piece.choice
            if piece.text or piece.tokens:
                yield self._told(answer, at, piece.text, tokens=piece.tokens)
            if answer.choices[at].finish is not None:
                yield self._told(answer, at, finish=open_.pop(at).finish)
        for at, choice in open_.items():  # those whose last piece had nothing to say
            yield self._told(answer, at, finish=choice.finish)
        if self._usage:
            yield event({**self._frame(answer), "usage": usage_of(answer.usage)})
        yield DONE

    def _echo(self, answer: Answer) -> str:
        return answer.prompt_text if self._body.echo else ""

    def _told(
        self, answer: Answer, index: int, text: str = "", finish: str | None = None, tokens: Sequence[Chosen] = ()
    ) -> str:
        return event(self._frame(answer, self._choice(answer, index, text, finish, tokens)))

    @staticmethod
    def _choice(answer: Answer, index: int, text: str, finish: str | None, tokens: Sequence[Chosen]) -> dict[str, Any]:
        return {"index": index, "text": text, "finish_reason": finish, "logprobs": _logprobs(answer, tokens)}

    @staticmethod
    def _frame(answer: Answer, *choices: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": answer.response,
            "object": "text_completion",
            "created": answer.created,
            "model": answer.served,
            "system_fingerprint": fingerprint(answer),
            "choices": list(choices),
        }


def _logprobs(answer: Answer, tokens: Sequence[Chosen]) -> dict[str, Any] | None:
    if not tokens:
        return None
    decode = answer.model.tokenizer.decode
    return {
        "tokens": [decode([token.id]) for token in tokens],
        "token_logprobs": [token.log_probability for token in tokens],
        "top_logprobs": [{decode([id_]): value for id_, value in token.alternatives} for token in tokens],
        "text_offset": None,
    }
