"""`loresmith steps`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.screen import Screen
from loresmith.sdk.calls.steps import STEPS, StepDoc, StepList, StepsRequest
from loresmith.sdk.describe import FieldDoc


def _show(answer: StepList, request: StepsRequest, screen: Screen) -> None:
    if request.name is None:
        screen.table(("step", "what it does"), ((step.name, step.summary) for step in answer.steps))
        screen.line()
        screen.line("`loresmith steps NAME` documents one")
        return
    for step in answer.steps:
        _document(step, screen)


def _document(step: StepDoc, screen: Screen) -> None:
    screen.line(f"{step.name}, version {step.version}")
    screen.line(step.summary)
    for title, roles in (("inputs", step.inputs), ("outputs", step.outputs)):
        if roles:
            screen.line()
            screen.line(title, style="bold")
            for role in roles:
                more = (", several" if role.many else "") + (", optional" if role.optional else "")
                screen.line(f"  {role.role} ({role.kind}{more}): {role.summary}")
    if step.settings:
        screen.line()
        screen.line("settings", style="bold")
        _settings(step.settings, "  ", screen)


def _settings(fields: tuple[FieldDoc, ...], indent: str, screen: Screen) -> None:
    for field in fields:
        default = (
            ", required" if field.required else f", default {field.default_in_words}" if field.default_in_words else ""
        )
        screen.line(f"{indent}{field.name}: {field.type}{default}")
        screen.line(f"{indent}    {field.description}")
        _settings(field.fields, indent + "    ", screen)


COMMANDS = {"steps": command(STEPS, _show)}
