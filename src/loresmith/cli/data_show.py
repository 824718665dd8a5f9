"""`loresmith data show`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.screen import Screen, short
from loresmith.sdk.calls.data_show import DATA_SHOW, DataShowAnswer, DataShowRequest


def _show(answer: DataShowAnswer, _request: DataShowRequest, screen: Screen) -> None:
    for row in answer.rows:
        place = f"{row['path']}:{row['line']}" if "line" in row else row["path"]
        screen.line(f"{short(row['id'])}  {place}", style="bold")
        screen.line(f"  {row.get('text', row.get('messages', ''))!r}")
    screen.line(f"{len(answer.rows)} of {answer.rows_in_all:,}")


SHOW = command(DATA_SHOW, _show)
