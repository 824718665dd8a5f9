"""An answer has to be JSON that a schema allows; so do the arguments of a tool call."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from loresmith.errors import UserError
from loresmith.serving.guards.bounded_schema import BoundedSchema, TooMuchWork, time_limit
from loresmith.serving.guards.guard import Context, Hit, Reading
from loresmith.serving.guards.settings import SchemaGuard


class SchemaCheck:
    """Holds answers to a schema.

    Args:
        schema: of all answers; None: each request's own, if it has one.
        tool_arguments: whether calls of tools are held to what the request declares of them.

    Raises:
        UserError: it is no JSON Schema, or none that answers can be held to.
    """

    hold = 0
    left = 0
    whole = True

    def __init__(self, schema: Mapping[str, Any] | None, tool_arguments: bool) -> None:
        from jsonschema import Draft202012Validator, SchemaError  # type: ignore[import-untyped, unused-ignore]

        self._schema: BoundedSchema | None = None
        self._tool_arguments = tool_arguments
        if schema is not None:
            try:
                Draft202012Validator.check_schema(dict(schema))
            except SchemaError as error:
                raise UserError(f"it is no JSON Schema: {error.message}", where=error.json_path) from None
            self._schema = BoundedSchema(schema)

    @classmethod
    def of(cls, settings: SchemaGuard, folder: Path) -> SchemaCheck:
        """The guard of some settings.

        Raises:
            UserError: the file is not there, or holds no JSON Schema that answers can be held to.
        """
        schema = None
        if settings.file is not None:
            path = folder / settings.file
            try:
                schema = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise UserError(f"the schema cannot be read: {error}", where=str(path)) from None
            if not isinstance(schema, dict):
                raise UserError("a JSON Schema is an object here", where=str(path))
        return cls(schema, settings.tool_arguments)

    def require_followed(self, context: Context) -> None:
        """Look at the schemas that a request brings, before it is answered.

        Raises:
            UserError: answers cannot be held to one of them; see `BoundedSchema`.
        """
        ends = time_limit()  # for all of them together
        if self._schema is None and context.schema is not None:
            BoundedSchema(context.schema, ends)
        for name, declared in context.tools.items() if self._tool_arguments else ():
            try:
                BoundedSchema(declared, ends)
            except UserError as error:
                raise UserError(error.what, where=f"the parameters of {name!r}", hint=error.hint) from None

    def look(self, reading: Reading) -> Iterator[Hit]:
        text = reading.views.given
        schema = self._schema_for(reading)
        calls_tools_alone = not reading.tool and not text.strip() and reading.context.tools
        if schema is None or not reading.whole or calls_tools_alone:
            return
        try:
            said = json.loads(text, parse_constant=_no_number)
        except (ValueError, RecursionError):
            yield Hit(0, len(text), "not JSON", "")
            return
        try:
            broken = schema.broken_rule(said)
        except TooMuchWork:
            yield Hit(0, len(text), "schema: takes too long to check", "")
            return
        if broken is not None:  # what failed, never the value
            yield Hit(0, len(text), f"schema: {broken}", "")

    def _schema_for(self, reading: Reading) -> BoundedSchema | None:
        if reading.tool:
            declared = reading.context.tools.get(reading.tool, _NOTHING)
            return BoundedSchema(declared) if self._tool_arguments else None
        if self._schema is None and reading.context.schema is not None:
            return BoundedSchema(reading.context.schema)
        return self._schema

    def open_from(self, reading: Reading) -> int:
        return len(reading.views.given)


_NOTHING: Mapping[str, Any] = {"not": {}}
"""What a tool that the request does not declare may be called with."""


def _no_number(written: str) -> NoReturn:
    raise ValueError(f"{written} is no JSON")
