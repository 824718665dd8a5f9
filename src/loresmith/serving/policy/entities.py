"""Callers, resources and circumstances in the form that Cedar takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from loresmith.serving.identity.principal import Principal
from loresmith.serving.policy.resource import ATTRIBUTES, Resource

_PRINCIPAL_TYPES = {"user": "User", "service": "Service"}
_CONTEXT_TYPES: Mapping[str, type] = {
    "at": datetime,
    "address": str,
    "route": str,
    "tokens": int,
    "stream": bool,
    "tools": bool,
}


def principal_uid(principal_id: str) -> dict[str, str]:
    """`user:ada` as `User::"ada"`."""
    kind, _, name = principal_id.partition(":")
    return {"type": _PRINCIPAL_TYPES[kind], "id": name}


def resource_uid(resource: Resource) -> dict[str, str]:
    """A resource as, say, `Release::"acme"`."""
    return {"type": resource.kind.title(), "id": resource.id}


def entities_json(principal: Principal, resource: Resource) -> str:
    """The two as a Cedar entity document. Raises ValueError for an attribute that the schema does not know."""
    unknown = resource.attributes.keys() - set(ATTRIBUTES[resource.kind])
    if unknown:
        raise ValueError(f"a {resource.kind} has no attribute {sorted(unknown)[0]!r}")
    held: dict[str, Any] = {"labels": sorted(principal.labels), "tenant": principal.tenant}
    carried: dict[str, Any] = dict(resource.attributes)
    if resource.kind != "gateway":
        carried["labels"] = sorted(resource.labels)
    groups = [{"type": "Group", "id": name} for name in principal.groups]
    caller = {"uid": principal_uid(principal.id), "attrs": held, "parents": groups}
    return json.dumps([caller, {"uid": resource_uid(resource), "attrs": carried, "parents": []}])


def context_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a request, as Cedar takes it; `at` is always among it.

    Raises:
        ValueError: a name that the schema does not know, or a value of another type.
    """
    known = dict(context)
    for name, value in known.items():
        wanted = _CONTEXT_TYPES.get(name)
        if wanted is None:
            raise ValueError(f"policies know nothing of {name!r} of a request")
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise ValueError(f"{name} of a request should be {wanted.__name__}, got {value!r}")
    at: datetime = known["at"]
    if at.tzinfo is None:
        raise ValueError("the time of a request needs its zone")
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    known["at"] = {"__extn": {"fn": "datetime", "arg": moment}}
    if "address" in known:
        known["address"] = {"__extn": {"fn": "ip", "arg": known["address"]}}
    return known
