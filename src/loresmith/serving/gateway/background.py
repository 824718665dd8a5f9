"""What goes wrong where nobody waits for an answer: in the tasks that keep a gateway up to date, and in its log."""

from __future__ import annotations

import logging
from collections.abc import Callable

from loresmith.errors import Failure, LoresmithError, os_failure

_LOG = logging.getLogger(__name__)


class Unforeseen(Failure):
    """What nobody thought of; `__cause__` is what was raised."""


def as_failure(error: Exception) -> LoresmithError:
    """Whatever ended some work in the background, in plain words."""
    if isinstance(error, LoresmithError):
        return error
    if isinstance(error, OSError):
        return os_failure(error)
    unforeseen = Unforeseen(f"the gateway failed at this: {type(error).__name__}: {error}")
    unforeseen.__cause__ = error
    return unforeseen


def tell(say: Callable[[str], None], text: str, error: LoresmithError) -> None:
    """Say that something went wrong; of what nobody thought of, the log has all there is to know."""
    say(text)
    if isinstance(error, Unforeseen):
        _LOG.error("%s", text, exc_info=error.__cause__)


def speaking(say: Callable[[str], None]) -> Callable[[str], None]:
    """As `say`; but where nobody can be told any more, as on a pipe without a reader, work goes on all the same."""

    def said(text: str) -> None:
        try:
            say(text)
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            _LOG.error("%s (this could not be said: %s)", text, error)

    return said
