"""What a step has chosen by measuring the machine, where the choice decides the last bit of the result.

It could fall otherwise the next time, on the same machine even. So a step writes it to a file in its work folder, where
it is found again by whoever goes on; the factory puts it on record with the action, and back where it was when the
action is carried out again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FOLDER = "choices"
"""In a step's work folder: a file NAME.txt for each choice, which holds what was chosen."""

ON_RECORD = "choices"
"""The part of an action's environment that holds them, by name."""


def made_choices(work: Path) -> dict[str, dict[str, str]]:
    """What a step chose, as its action's environment has it; empty where it chose nothing."""
    files = sorted((work / FOLDER).glob("*.txt"))
    return {ON_RECORD: {file.stem: file.read_text(encoding="utf-8").strip() for file in files}} if files else {}


def lay_out(environment: Mapping[str, Mapping[str, str]], work: Path) -> None:
    """Put the choices on record where the step looks for them, before it begins."""
    for name, chosen in environment.get(ON_RECORD, {}).items():
        folder = work / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.txt").write_text(f"{chosen}\n", encoding="utf-8")
