"""`loresmith init` and `loresmith doctor`, for people."""

from __future__ import annotations

import os
from pathlib import Path

from loresmith.cli.command import command
from loresmith.cli.screen import Screen
from loresmith.sdk.calls.workspace import DOCTOR, INIT, DoctorAnswer, DoctorRequest, InitAnswer, InitRequest

_STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


def _show_init(answer: InitAnswer, _request: InitRequest, screen: Screen) -> None:
    screen.line(f"a workspace is in {answer.folder}")
    for path in answer.written:
        screen.line(f"  wrote {path.relative_to(answer.folder)}")
    if answer.recipe is not None:
        there = os.path.relpath(answer.folder)
        screen.line("next:")
        if there != ".":
            screen.line(f"  cd {there}")
        for words in ("plan", "run"):
            screen.line(f"  loresmith {words} {Path(answer.recipe).name}")


def _show_doctor(answer: DoctorAnswer, _request: DoctorRequest, screen: Screen) -> None:
    width = max(len(finding.name) for finding in answer.findings)
    for finding in answer.findings:
        screen.line(f"{finding.status:<8}{finding.name:<{width}}  {finding.found}", style=_STYLES[finding.status])
        if finding.hint:
            screen.line(f"{'':<{8 + width}}  {finding.hint}")


COMMANDS = {"init": command(INIT, _show_init), "doctor": command(DOCTOR, _show_doctor)}
