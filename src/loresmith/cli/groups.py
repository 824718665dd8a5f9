"""Commands that are imported when they are used, so that `loresmith --help` answers at once."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class Entry(NamedTuple):
    """A command of the top level: the file of this folder that has it, and one sentence for the list of commands."""

    module: str
    summary: str


class LazyGroup(click.Group):
    """A group whose commands stand in `COMMANDS` of other files, under their names."""

    def __init__(self, entries: Mapping[str, Entry], **attributes: Any) -> None:
        super().__init__(**attributes)
        self.entries = entries

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        entry = self.entries.get(name)
        if entry is None:
            return None
        found: click.Command = import_module(f"loresmith.cli.{entry.module}").COMMANDS[name]
        return found

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])


class NounGroup(click.Group):
    """The commands of one noun; without a word of its own it does `ls`, where there is one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asks_for_help = any(arg in self.get_help_option_names(ctx) for arg in args)
        if "ls" in self.commands and not asks_for_help and (not args or args[0].startswith("-")):
            args = ["ls", *args]
        return super().parse_args(ctx, args)


def noun(name: str, summary: str, *commands: click.Command) -> NounGroup:
    """A group of commands about one noun."""
    return NounGroup(name, help=summary, commands=commands)
