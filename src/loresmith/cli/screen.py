"""Where answers are shown: standard output, as tables and lines for a person or as one JSON object for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from loresmith.sdk.call import Answer

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 10_000
"""Columns of an output that is not a terminal: nothing is cut or wrapped for whoever reads a pipe."""


class Screen:
    """Standard output for a person."""

    @cached_property
    def console(self) -> Console:
        from rich.console import Console

        class Patient(Console):
            """Leaves it to `main` what a reader that goes away means; rich would exit with status 1."""

            def on_broken_pipe(self) -> None:
                raise BrokenPipeError

        return Patient(highlight=False, width=None if sys.stdout.isatty() else _WIDE)

    def line(self, text: str = "", style: str | None = None) -> None:
        """One line, taken literally."""
        self.console.print(text, style=style, markup=False, soft_wrap=True)

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Names and values, one a line, the values under one another."""
        pairs = list(facts)
        width = max((len(name) for name, _ in pairs), default=0)
        for name, value in pairs:
            self.line(f"{name:<{width}}  {value}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
        """A table without a frame; `right` names the columns whose values stand at the right."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        self.console.print(table)


def print_json(answer: Answer) -> None:
    """An answer as one JSON object."""
    print(answer.model_dump_json(indent=2))


def plain(value: Any) -> str:
    """A value as a person writes it in YAML: text as it is, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def size(count: float) -> str:
    """Bytes as a person reads them: `1.2 MB` (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def number(value: float) -> str:
    """A count as a person reads it: `950`, `3.1k`, `2.0M`."""
    for unit in ("", "k", "M", "G"):
        if abs(value) < 1000:
            return f"{value:.0f}" if unit == "" and float(value).is_integer() else f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}T"


def figure(value: float) -> str:
    """A measured number, whole or not: `1.793`, `0.0004`, `110,348`."""
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 10_000 else f"{value:.4g}"


def duration(seconds: float | None) -> str:
    """Seconds as a person reads them: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(timestamp: str | None) -> str:
    """A time of the ledger in this machine's time zone, to the second."""
    return "" if timestamp is None else f"{datetime.fromisoformat(timestamp).astimezone():%Y-%m-%d %H:%M:%S}"


def short(digest: str) -> str:
    """The beginning of a digest, which is enough to name it."""
    return digest[:12]


def visible(text: str) -> str:
    """A text that somebody else wrote, without what would steer the terminal; tabs and line ends stay."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else repr(character)[1:-1] for character in text
    )
