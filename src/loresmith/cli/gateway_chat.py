"""A gateway's model as it answers in the terminal: `loresmith chat URL`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from loresmith.cli.gateway_client import GatewayClient, read_key
from loresmith.cli.screen import visible
from loresmith.errors import UserError
from loresmith.sdk.calls.models import ChatRequest, Message

_MOST_PAGES = 5


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

    def sources(self) -> Iterator[str]:
        """A line for each passage that the last answer rests on."""
        for source in self._sources:
            pages = [str(page) for page in source["pages"]]
            shown = ", ".join(pages[:_MOST_PAGES]) + (", ..." if len(pages) > _MOST_PAGES else "")
            yield f"[{source['number']}] {visible(str(source['path']))}" + (f", page {shown}" if pages else "")

    def _chosen(self, models: list[str]) -> str:
        wanted = self._request.model
        if wanted is not None:
            return wanted  # an adapter or a model that is not listed: the gateway knows
        if len(models) == 1:
            return models[0]
        if not models:
            raise UserError("there is no model that this key may ask", where=self._request.release)
        raise UserError(f"there are several models: {', '.join(models)}", hint="choose one with --model")
