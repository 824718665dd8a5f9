"""What can be asked for, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Action = Literal["complete", "retrieve", "feedback", "administer"]
Kind = Literal["release", "adapter", "document", "gateway"]

ACTIONS: tuple[Action, ...] = get_args(Action)

APPLIES_TO: Mapping[Action, tuple[Kind, ...]] = {
    "complete": ("release", "adapter"),
    "feedback": ("release", "adapter"),
    "retrieve": ("document",),
    "administer": ("gateway",),
}
"""Which kinds of resource an action is about; the schema says the same."""

ATTRIBUTES: Mapping[Kind, tuple[str, ...]] = {
    "release": ("channel", "model"),
    "adapter": ("channel", "model"),
    "document": ("path", "media_type", "language", "licence"),
    "gateway": (),
}
"""The texts that policies may ask of a resource beside its labels, where they are known."""


@dataclass(frozen=True)
class Resource:
    """A thing that a request is about.

    Attributes:
        kind: what it is.
        id: a release's own name, whatever it is served as; `RELEASE:ADAPTER`; a document's id; `gateway`.
        labels: every label that it carries.
        attributes: texts of `ATTRIBUTES`; one that is not known is left out.
    """

    kind: Kind
    id: str
    labels: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=dict)


GATEWAY = Resource("gateway", "gateway")
