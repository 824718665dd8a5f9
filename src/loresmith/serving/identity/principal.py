"""Whoever asks, once it is known who that is."""

from __future__ import annotations

import re
from dataclasses import dataclass

PRINCIPAL_PATTERN = r"^(user|service):[A-Za-z0-9][A-Za-z0-9._@+:/|=-]{0,199}$"
"""`user:ada`, `service:crm`, `user:auth0|5f7c`: no spaces, quotes or stars, so that a name cannot pass for another."""

_PRINCIPAL = re.compile(PRINCIPAL_PATTERN.removesuffix("$"))


@dataclass(frozen=True)
class Principal:
    """A caller and what it holds.

    Attributes:
        id: `user:ada` or `service:crm`.
        groups: the declared groups that it is in, in the order of the configuration.
        labels: every label that these groups hold.
        tenant: whose audit key is used, and whose quotas.
        credential: the API key's id, or a token's `issuer#jti`, for the audit.
    """

    id: str
    groups: tuple[str, ...]
    labels: frozenset[str]
    tenant: str
    credential: str


def is_principal(text: str) -> bool:
    """Whether a text can be the id of a principal."""
    return _PRINCIPAL.fullmatch(text) is not None
