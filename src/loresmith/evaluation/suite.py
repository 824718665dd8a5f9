"""A suite: completion cases in a YAML file, and what counts as right.

```yaml
name: python-idioms
description: What anyone who has read the standard library should be able to finish.
max_new_tokens: 24
cases:
  - name: open-a-file
    prompt: "with open(path) as f:\\n    return f."
    expected: read
    scorer: contains
    stop: ["\\n"]
```
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from loresmith.errors import UserError
from loresmith.validation import validate
from loresmith.yaml_lines import Mapped, load_yaml, read_yaml

SUITE_FILE = "suite.yaml"
"""The file of a `suite` asset."""

ScorerName = Literal["exact", "contains", "regex"]
Text = Annotated[str, StringConstraints(min_length=1)]


class Case(BaseModel):
    """One prompt and what should follow it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text | None = Field(default=None, description="What the case is called in reports; its number by default.")
    prompt: Text = Field(description="The text that the model goes on from, exactly as written.")
    expected: Text = Field(description="What is looked for in the output; a regular expression for the scorer `regex`.")
    scorer: ScorerName = Field(
        default="exact",
        description="`exact`: the output is the expected text, white space at either end aside; `contains`: it holds "
        "the expected text; `regex`: the expression is found in it (Python's re, MULTILINE).",
    )
    max_new_tokens: int | None = Field(
        default=None, ge=1, le=4096, description="Tokens generated at most; the suite's number by default."
    )
    stop: tuple[Text, ...] = Field(
        default=(), description="The output ends before the first of these texts, which keeps it to what was asked."
    )

    @model_validator(mode="after")
    def _expression_is_one(self) -> Case:
        if self.scorer == "regex":
            try:
                re.compile(self.expected, re.MULTILINE)
            except re.error as error:
                raise ValueError(f"{self.expected!r} is not a regular expression: {error}") from None
        return self

    def passes(self, output: str) -> bool:
        """Whether an output is right."""
        return SCORERS[self.scorer](output, self.expected)


class Suite(BaseModel):
    """The cases of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text = Field(description="What the suite is called in reports.")
    description: str = Field(default="", description="What it is meant to show, in a sentence or two.")
    max_new_tokens: int = Field(default=64, ge=1, le=4096, description="For cases that do not say how many tokens.")
    cases: tuple[Case, ...] = Field(min_length=1, description="The cases, in the order of the report.")


SCORERS: Mapping[ScorerName, Callable[[str, str], bool]] = {
    "exact": lambda output, expected: output.strip() == expected.strip(),
    "contains": lambda output, expected: expected in output,
    "regex": lambda output, expected: re.search(expected, output, re.MULTILINE) is not None,
}


def read_suite(path: Path) -> Suite:
    """Read a suite file; every case has its name afterwards.

    Raises:
        UserError: naming file, line and key of what is wrong.
    """
    try:
        return _read_json(path)
    except (OSError, ValueError):
        return _checked(read_yaml(path))  # which says what is wrong, and where


def write_suite(suite: Suite, path: Path) -> None:
    """Write a suite file that `read_suite` reads: JSON, which is YAML and a hundred times faster to read."""
    text = json.dumps(suite.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def parse_suite(text: str, source: str) -> Suite:
    """As `read_suite`, from text; `source` is what messages call it."""
    return _checked(load_yaml(text, source))


def _read_json(path: Path) -> Suite:
    """Raises ValueError where the file is anything but a suite in JSON in which every case has a name of its own."""
    with path.open("rb") as file:
        if file.read(1) != b"{":
            raise ValueError("not JSON")
    suite = Suite.model_validate(json.loads(path.read_bytes(), object_pairs_hook=_without_repetition))
    names = [case.name for case in suite.cases]
    if None in names or len(set(names)) < len(names):
        raise ValueError("cases without names of their own")
    return suite


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(keys := dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return keys


def _checked(mapped: Mapped) -> Suite:
    suite = validate(Suite, mapped.data, mapped.lines, mapped.source)
    names: dict[str, int] = {}
    cases = []
    for position, case in enumerate(suite.cases):
        name = case.name or f"case-{position + 1}"
        if name in names:
            first = mapped.where(("cases", names[name]))
            raise UserError(
                f"cases[{position}]: the name {name!r} is used twice (first at {first})",
                where=mapped.where(("cases", position, "name")),
                hint="give each case a name of its own, so that a report names one case",
            )
        names[name] = position
        cases.append(case.model_copy(update={"name": name}))
    return suite.model_copy(update={"cases": tuple(cases)})
