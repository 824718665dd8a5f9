"""A suite from a file of lines: one JSON object a case, as question sets are usually kept.

```json
{"id": "capital-of-france", "prompt": "What is the capital of France?", "answer": "Paris"}
```
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError
from loresmith.evaluation.suite import Case, ScorerName, Suite, Text, read_suite
from loresmith.validation import validate

YAML_SUFFIXES = (".yaml", ".yml")


class CaseLine(BaseModel):
    """One line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Text | int = Field(description="What the case is called in reports.")
    prompt: Text = Field(description="The text that the model goes on from, exactly as written.")
    answer: Text = Field(description="What is looked for in the output.")
    scorer: ScorerName | None = Field(default=None, description="How it is looked for; the step's by default.")
    max_new_tokens: int | None = Field(default=None, ge=1, le=4096, description="Tokens generated at most.")
    stop: tuple[Text, ...] = Field(default=(), description="The output ends before the first of these texts.")


def read_suite_lines(path: Path, name: str, description: str, scorer: ScorerName, max_new_tokens: int) -> Suite:
    """Read a suite from JSON lines, or from a YAML file, which says all of that itself.

    Args:
        name, description, scorer, max_new_tokens: of a suite of JSON lines.

    Raises:
        UserError: naming file, line and key of what is wrong.
    """
    if path.suffix.lower() in YAML_SUFFIXES:
        return read_suite(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
    cases: list[Case] = []
    first: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        read = validate(CaseLine, _object(line, where), {}, where)
        called = str(read.id)
        if called in first:
            raise UserError(
                f"the id {called!r} is used twice (first in line {first[called]})",
                where=where,
                hint="give each case an id of its own, so that a report names one case",
            )
        first[called] = number
        case = {
            "name": called,
            "prompt": read.prompt,
            "expected": read.answer,
            "scorer": read.scorer or scorer,
            "max_new_tokens": read.max_new_tokens,
            "stop": read.stop,
        }
        cases.append(validate(Case, case, {}, where))
    if not cases:
        raise UserError("there are no cases in it", where=str(path), hint="write one JSON object a line")
    return Suite(name=name, description=description, max_new_tokens=max_new_tokens, cases=tuple(cases))


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        read = json.loads(line)
    except ValueError as error:
        raise UserError(f"this line is not JSON: {error}", where=where) from None
    if not isinstance(read, dict):
        raise UserError("this line is not a JSON object with the keys id, prompt and answer", where=where)
    return read
