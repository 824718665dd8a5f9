"""`loresmith data show`, for people."""

from __future__ import annotations

from collections.abc import Sequence

from loresmith.cli.command import command
from loresmith.cli.screen import Screen, plain, short, size, visible
from loresmith.sdk.calls.data_show import DATA_SHOW, DataShowAnswer, DataShowRequest, ShownRow
from loresmith.sdk.spans import ShownPlace

_IN_FULL = ("text", "messages")
"""Columns that stand on lines of their own."""


def _show(answer: DataShowAnswer, request: DataShowRequest, screen: Screen) -> None:
    for row in answer.rows:
        place = f", {place_said(row.place)}" if row.place is not None else ""
        screen.line(f"{short(row.id)}  {visible(row.path)}{place}", style="bold")
        screen.line(f"  {_values(row)}")
        for column in _IN_FULL:
            if column in row.values:
                _text(row.values[column], request, screen)
    chosen = f"{answer.matching:,} of {answer.in_all:,}" if request.where is not None else f"{answer.in_all:,}"
    screen.line(f"{len(answer.rows):,} shown; {chosen} {'are meant' if request.where is not None else 'in all'}")
    if answer.labels:
        screen.line(f"labels: {', '.join(answer.labels)}")


def place_said(place: ShownPlace) -> str:
    """`page 3, bytes 1,200 to 1,260`."""
    pages = f"{page_numbers(place.pages)}, " if place.pages else ""
    return f"{pages}bytes {place.start:,} to {place.end:,}{'' if place.exact else ' (the whole document)'}"


def page_numbers(pages: Sequence[int]) -> str:
    """`page 3`, `pages 3-5, 9`."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], page]
        else:
            runs.append([page])
    said = ", ".join("-".join(map(str, run)) for run in runs)
    return f"page {said}" if len(pages) == 1 else f"pages {said}"


def _values(row: ShownRow) -> str:
    """What the columns say, those left out in which there is nothing."""
    said = []
    for name, value in row.values.items():
        if name in _IN_FULL or value in (None, "", [], {}):
            continue
        if name == "bytes":
            said.append(size(value))
        elif name in ("media_type", "language", "split"):
            said.append(str(value))
        else:
            said.append(f"{name} {short(value) if name == 'group' else visible(plain(value))}")
    return "  ".join(said)


def _text(text: str, request: DataShowRequest, screen: Screen) -> None:
    lines = visible(text).splitlines() if request.full or request.span else [" ".join(visible(text).split())]
    for line in lines:
        screen.line(f"  | {line}")


SHOW = command(DATA_SHOW, _show)
