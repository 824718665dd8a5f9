"""Times as a person says them: `2026-11-22`, `2026-11-22T14:00`, `7d` for seven days ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from loresmith.errors import UserError

MOMENT = "a date or time (UTC unless it says otherwise), or how long ago, such as `90m`, `24h`, `7d`"

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment_of(said: str, *, where: str, now: datetime | None = None) -> str:
    """A timestamp as the ledger writes it.

    Args:
        where: what to call the place in messages.
        now: from which `ago` counts; the time of the call by default.

    Raises:
        UserError: this says no time.
    """
    now = now or datetime.now(UTC)
    if ago := _AGO.fullmatch(said):
        moment = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    else:
        try:
            moment = datetime.fromisoformat(said)
        except ValueError as error:
            raise UserError(f"this is no time: {said}", where=where, hint=f"write {MOMENT}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
