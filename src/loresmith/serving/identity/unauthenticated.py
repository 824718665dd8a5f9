"""Nobody is known by this credential."""

from __future__ import annotations

REASON_CHARACTERS = 200
"""Of a reason: it may tell what a stranger wrote."""


class Unauthenticated(Exception):
    """The credential is missing or no good.

    Args:
        reason: why, for the audit. The caller is told only that it is so: whoever tries doors learns nothing from it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("not authenticated")
        self.reason = reason[:REASON_CHARACTERS]


class UnknownSigningKey(Unauthenticated):
    """A token names a key that its issuer may have published since its keys were last read."""


class IdentityUnavailable(Exception):
    """Whether a key is still good cannot be told: the ledger could not be read for seconds. No key opens meanwhile."""
