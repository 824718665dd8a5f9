"""The time as the ledger writes it. It is for people: order comes from the log, never from a clock."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp() -> str:
    """Now, in UTC, as ISO 8601 with microseconds and a `Z`."""
    return written(datetime.now(UTC))


def written(moment: datetime) -> str:
    """A time as the ledger writes it, so that two of them compare as texts."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def seconds_since(moment: str) -> float:
    """How long ago a `timestamp` was; negative when it lies ahead of this machine's clock."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
