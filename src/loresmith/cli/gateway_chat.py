"""A gateway's model as it answers in the terminal: `loresmith chat URL`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from loresmith.cli.gateway_client import GatewayClient, read_key
from loresmith.errors import UserError
from loresmith.sdk.calls.models import AnswerSource, ChatRequest, Message


class GatewaySpeaker:
    """A model behind a gateway.

    Raises:
        UserError: there is no key, or no model that is meant.
        Failure: the gateway cannot be reached.
    """

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._client = GatewayClient(request.release, read_key(request.key_file))
        self._name = self._chosen(self._client.models())
        self._sources: list[Mapping[str, Any]] = []

    @property
    def name(self) -> str:
        return self._name

    def answer(self, messages: Sequence[Message], show: Callable[[str], None]) -> None:
        self._sources = []
        sampling = self._request.model_dump(include={"temperature", "top_p", "seed"} & self._request.model_fields_set)
        body = {
            "model": self._name,
            "messages": [message.model_dump() for message in messages],
            "max_tokens": self._request.max_new_tokens,
            **sampling,
        }
        with closing(self._client.chat(body)) as pieces:
            for piece in pieces:
                for choice in piece["choices"]:
                    delta = choice["delta"]
                    self._sources = delta.get("sources") or self._sources
                    show((delta.get("content") or "") + (delta.get("refusal") or ""))

    @property
    def sources(self) -> tuple[AnswerSource, ...]:
        return tuple(AnswerSource.model_validate(source) for source in self._sources)

    def _chosen(self, models: list[str]) -> str:
        wanted = self._request.model
        if wanted is not None:
            return wanted  # an adapter or a model that is not listed: the gateway knows
        if len(models) == 1:
            return models[0]
        if not models:
            raise UserError("there is no model that this key may ask", where=self._request.release)
        raise UserError(f"there are several models: {', '.join(models)}", hint="choose one with --model")
