"""`loresmith fill`, for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from loresmith.cli.command import command
from loresmith.cli.screen import Screen
from loresmith.sdk.call import Emit
from loresmith.sdk.calls.fill import FILL, FillAnswer, FillRequest


@contextmanager
def _stream(_request: FillRequest) -> Iterator[Emit]:
    """Show the text as it is written; on a terminal what is new stands out."""
    yield _say


def _say(event: Mapping[str, Any]) -> None:
    new = event["event"] == "filling" and sys.stdout.isatty()
    sys.stdout.write(click.style(event["text"], bold=True) if new else event["text"])
    sys.stdout.flush()


def _end(_answer: FillAnswer, _request: FillRequest, screen: Screen) -> None:
    screen.line()


COMMANDS = {"fill": command(FILL, _end, live=_stream)}
