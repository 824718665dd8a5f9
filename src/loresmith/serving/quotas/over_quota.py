"""A request that is more than somebody may use."""

from __future__ import annotations


class OverQuota(Exception):
    """Not now, or not at all.

    Args:
        what: which limit, in words that the caller may read: `60 requests per minute of user:ada`.
        retry_after_seconds: when to come again; None if waiting does not help.
    """

    def __init__(self, what: str, retry_after_seconds: float | None) -> None:
        super().__init__(what)
        self.what = what
        self.retry_after_seconds = retry_after_seconds
