"""What a caller may ask: for a plain chat, or for vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from loresmith.serving.gateway.door import principal_of
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.policy.resource import Resource
from loresmith.serving.policy.served import SEPARATOR, model_resource


@dataclass(frozen=True)
class Offered:
    """One of them.

    Attributes:
        name: by which callers ask for it.
        embeds: whether it is for `/v1/embeddings` instead of answers.
    """

    name: str
    labels: frozenset[str]
    embeds: bool


def offered(gateway: Gateway, request: Request) -> list[Offered]:
    """All that the caller of this request may ask from where they are now."""
    principal, policy, embedders = principal_of(request.scope), gateway.rules.policy, gateway.rules.embedders
    address = {"address": request.client.host} if request.client else {}
    chat: dict[str, Any] = {"route": "/v1/chat/completions", **address, "stream": False, "tools": False}
    embedding: dict[str, Any] = {"route": "/v1/embeddings", **address}
    found: list[tuple[str, Resource, bool]] = []
    for model in gateway.models.all():
        for adapter in (None, *model.adapters):
            name = model.name if adapter is None else f"{model.name}{SEPARATOR}{adapter}"
            resource = model_resource(model.settings, model.labels_of(adapter), adapter, model.digest)
            found.append((name, resource, False))
    found += [(name, served.resource, True) for name, served in embedders.items()]
    return [
        Offered(name, resource.labels, embeds)
        for name, resource, embeds in found
        if policy.decide(principal, "complete", resource, embedding if embeds else chat).allowed
    ]
