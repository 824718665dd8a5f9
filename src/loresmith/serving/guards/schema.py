"""An answer has to be JSON that a schema allows; so do the arguments of a tool call."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loresmith.errors import UserError
from loresmith.serving.guards.guard import Hit, Reading
from loresmith.serving.guards.settings import SchemaGuard


class SchemaCheck:
    """Holds answers to a schema.

    Args:
        schema: of all answers; None: each request's own, if it has one.
        tool_arguments: whether calls of tools are held to what the request declares of them.

    Raises:
        UserError: it is no JSON Schema.
    """

    hold = 0
    left = 0
    whole = True

    def __init__(self, schema: Mapping[str, Any] | None, tool_arguments: bool) -> None:
        from jsonschema import Draft202012Validator, SchemaError  # type: ignore[import-untyped, unused-ignore]

        self._schema = schema
        self._tool_arguments = tool_arguments
        if schema is not None:
            try:
                Draft202012Validator.check_schema(dict(schema))
            except SchemaError as error:
                raise UserError(f"it is no JSON Schema: {error.message}", where=error.json_path) from None

    @classmethod
    def of(cls, settings: SchemaGuard, folder: Path) -> SchemaCheck:
        """The guard of some settings.

        Raises:
            UserError: the file is not there, or holds no JSON Schema.
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

    def look(self, reading: Reading) -> Iterator[Hit]:
        text = reading.views.given
        schema = self._schema_for(reading)
        calls_tools_alone = not reading.tool and not text.strip() and reading.context.tools
        if schema is None or not reading.whole or calls_tools_alone:
            return
        from jsonschema import Draft202012Validator

        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            yield Hit(0, len(text), "not JSON", "")
            return
        error = next(iter(Draft202012Validator(dict(schema)).iter_errors(said)), None)
        if error is not None:  # what failed, never the value
            where = "/".join(str(part) for part in error.absolute_schema_path)
            yield Hit(0, len(text), f"schema: {where}", "")

    def _schema_for(self, reading: Reading) -> Mapping[str, Any] | None:
        if reading.tool:
            return reading.context.tools.get(reading.tool, _NOTHING) if self._tool_arguments else None
        return self._schema if self._schema is not None else reading.context.schema

    def open_from(self, reading: Reading) -> int:
        return len(reading.views.given)


_NOTHING: Mapping[str, Any] = {"not": {}}
"""What a tool that the request does not declare may be called with."""
