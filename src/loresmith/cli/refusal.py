"""How the command line says no: one clear message on standard error, an exit status, and never a traceback."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback

import click

from loresmith.errors import Failure, LoresmithError, UserError
from loresmith.nearest import unknown_name

DEBUG = "LORESMITH_DEBUG"


def refuse(error: LoresmithError, as_json: bool) -> int:
    """Say what was wrong, where, and what to do; returns the exit status."""
    if as_json:
        said = {"what": error.what, "where": error.where, "hint": error.hint}
        print(json.dumps({"error": said, "exit_status": error.exit_status}, indent=2, ensure_ascii=False))
    place = f"{error.where}: " if error.where else ""
    print(f"error: {place}{error.what}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
    return error.exit_status


def usage_error(error: click.ClickException) -> LoresmithError:
    """What click refused, in the words of the house, with the nearest name for one that does not exist."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    place = context.command_path if context is not None else None
    hint = f"`{place} --help` lists what it takes" if place is not None else None
    if isinstance(error, click.exceptions.NoSuchOption) and context is not None:
        known = [option for parameter in context.command.get_params(context) for option in parameter.opts]
        options = [option for option in known if option.startswith("--")]
        return UserError(unknown_name("option", error.option_name, options), where=place, hint=hint)
    if isinstance(error, click.exceptions.NoSuchCommand) and context is not None:
        commands = context.command.list_commands(context) if isinstance(context.command, click.Group) else ()
        return UserError(unknown_name("command", error.command_name, commands), where=place, hint=hint)
    message = error.format_message().removesuffix(".")
    return UserError(f"{message[:1].lower()}{message[1:]}", where=place, hint=hint)


def defect(error: Exception) -> Failure:
    """What to say of an error that nobody foresaw; the traceback goes to a file, where a bug report finds it."""
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
        hint = "this is a defect of Loresmith; the traceback is above"
    else:
        with tempfile.NamedTemporaryFile(
            "w", prefix="loresmith-", suffix=".traceback", encoding="utf-8", delete=False
        ) as file:
            traceback.print_exception(error, file=file)
        hint = f"this is a defect of Loresmith; the traceback is in {file.name}, and {DEBUG}=1 shows it"
    return Failure(f"{type(error).__name__}: {error}", hint=hint)
