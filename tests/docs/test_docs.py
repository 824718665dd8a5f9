"""What the documentation says is what happens.

A fenced block of `console` or `python` with `<!-- tested -->` above it is carried out, page by page, in a temporary
folder. Its commands must end with status 0, or that of `<!-- tested: status 2 -->`, and print what is shown below them,
where `...` stands for anything.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from docs.generate import REFERENCE, main

PAGES = sorted(path for path in REFERENCE.parent.glob("*.md"))
BLOCK = re.compile(r"^<!-- tested(?:: status (\d))? -->\n```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#([^)]+))?\)")


@dataclass(frozen=True)
class Command:
    """One command of a page, and what it prints."""

    line: int
    words: list[str]
    status: int
    shown: str


def commands(page: Path) -> Iterator[Command]:
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 3
        status = int(block[1] or 0)
        if block[2] == "python":
            yield Command(line, [sys.executable, "-c", block[3]], status, "")
            continue
        for part in re.split(r"^\$ ", block[3], flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield Command(line, ["bash", "-c", command], status, shown)


LONG = {
    "audit.md",
    "base-models.md",
    "contamination.md",
    "corpus.md",
    "fill-in-the-middle.md",
    "fine-tuning.md",
    "scale.md",
    "training.md",
}
"""Pages whose commands take a third of a minute each; `make test-slow` tries them."""


def pages_with_commands() -> Iterator[Any]:
    for page in PAGES:
        if "<!-- tested" in page.read_text(encoding="utf-8"):
            yield pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in LONG else [])


@pytest.mark.parametrize("page", list(pages_with_commands()))
def test_commands_do_what_the_page_says(page: Path, tmp_path: Path) -> None:
    carry_out(page, tmp_path)


def carry_out(page: Path, folder: Path, **variables: str) -> Path:
    """Do what a page says, beginning in that folder, and hold what is printed against what is shown.

    Of a command that is to fail what it says of that counts, too. Returns the folder that it has led to.
    """
    programs = str(Path(sys.executable).parent)
    settings = {key: value for key, value in os.environ.items() if not key.startswith(("LORESMITH_", "PYTHONPATH"))}
    settings = {**settings, "PATH": os.pathsep.join([programs, settings["PATH"]]), **variables}
    checker = doctest.OutputChecker()
    for command in commands(page):
        done = subprocess.run(command.words, cwd=folder, env=settings, capture_output=True, text=True, check=False)
        where = f"{page.name}:{command.line}: {command.words[-1]}\n{done.stdout}{done.stderr}"
        assert done.returncode == command.status, where
        if command.shown:
            said = done.stdout + (done.stderr if command.status else "")
            assert checker.check_output(command.shown, said, doctest.ELLIPSIS), where
        moved = re.fullmatch(r"cd (\S+)", command.words[-1])
        folder = folder / moved[1] if moved else folder
    return folder


def test_a_page_that_lies_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for shown in ("two\n", "t...o\n"):
        page.write_text(f"<!-- tested -->\n```console\n$ echo one\n{shown}```\n", encoding="utf-8")
        (command,) = commands(page)
        assert command.shown == shown
        with pytest.raises(AssertionError):
            test_commands_do_what_the_page_says(page, tmp_path)


def test_the_reference_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("page", [*PAGES, *sorted(REFERENCE.glob("*.md"))], ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    for match in LINK.finditer(page.read_text(encoding="utf-8")):
        assert (page.parent / match[1]).exists(), f"{page.name}: {match[1]}"
