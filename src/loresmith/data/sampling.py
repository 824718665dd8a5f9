"""A sample of documents by their ids: the same documents each time, spread over the whole corpus."""

from __future__ import annotations


def in_sample(document_id: str, wanted: float, total: float) -> bool:
    """Whether a document belongs to a sample of about `wanted` of `total` bytes. All belong when that is enough.

    A larger sample holds every smaller one.
    """
    return int(document_id[:8], 16) * total < wanted * 2**32 if total > wanted else True
