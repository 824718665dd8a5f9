"""What a Pydantic model says of itself, in words: the source of `--help`, `loresmith steps` and docs/reference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Schema = Mapping[str, Any]

_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "nothing",
    "object": "mapping",
    "array": "list",
}
_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
)


class FieldDoc(BaseModel):
    """One field of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="The key.")
    type: str = Field(description="What it takes, in words, with the range.")
    nullable: bool = Field(description="Whether it can also be null.")
    required: bool = Field(description="Whether it has to be given.")
    default: Any = Field(description="What it is when it is not given; null where there is no default.")
    description: str = Field(description="Why it exists, its unit, its range.")
    fields: tuple[FieldDoc, ...] = Field(default=(), description="The keys below it, where it is a mapping of its own.")

    @property
    def default_in_words(self) -> str:
        """The default as a person writes it in YAML; empty where there is none worth telling."""
        return "" if self.required or self.default is None or self.fields else json.dumps(self.default)


def describe(model: type[BaseModel]) -> tuple[FieldDoc, ...]:
    """The fields of a model in the order of their declaration, with those of the models inside it."""
    schema = model.model_json_schema(mode="validation")
    definitions = schema.get("$defs", {})
    if "$ref" in schema:  # a model that holds itself
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return _fields(schema, definitions)


def _fields(schema: Schema, definitions: Mapping[str, Schema], above: tuple[str, ...] = ()) -> tuple[FieldDoc, ...]:
    required = schema.get("required", ())
    return tuple(
        FieldDoc(
            name=name,
            type=_in_words(field, definitions),
            nullable=any(member.get("type") == "null" for member in field.get("anyOf", ())),
            required=name in required,
            default=field.get("default"),
            description=field.get("description", ""),
            fields=_below(field, definitions, above),
        )
        for name, field in schema.get("properties", {}).items()
    )


def _below(field: Schema, definitions: Mapping[str, Schema], above: tuple[str, ...]) -> tuple[FieldDoc, ...]:
    """The fields of the one model that a field holds, alone or as the items of a list or mapping."""
    for name in _references(field):
        if name not in above:
            found = _fields(definitions[name], definitions, (*above, name))
            if found:
                return found
    return ()


def _references(field: Schema) -> list[str]:
    found = [field["$ref"].rpartition("/")[2]] if "$ref" in field else []
    for key in ("anyOf", "allOf", "oneOf"):
        for member in field.get(key, ()):
            found += _references(member)
    for inside in (field.get("items"), _values(field)):
        if isinstance(inside, Mapping):
            found += _references(inside)
    return found


def _values(field: Schema) -> Schema | None:
    """What a mapping whose keys are names maps them to; also where the names have to match a pattern."""
    for found in (field.get("additionalProperties"), *field.get("patternProperties", {}).values()):
        if isinstance(found, Mapping):
            return found
    return None


def _in_words(field: Schema, definitions: Mapping[str, Schema]) -> str:
    if "$ref" in field:
        return _in_words(definitions[field["$ref"].rpartition("/")[2]], definitions)
    for key in ("anyOf", "allOf", "oneOf"):
        if key in field:
            members = [_in_words(member, definitions) for member in field[key] if member.get("type") != "null"]
            return " or ".join(dict.fromkeys(members))
    if "const" in field:
        return json.dumps(field["const"])
    if "enum" in field:
        return " or ".join(json.dumps(choice) for choice in field["enum"])
    kind = str(field.get("type", "anything"))
    words = "path" if field.get("format") == "path" else _WORDS.get(kind, kind)
    if kind == "array" and isinstance(field.get("items"), Mapping):
        words = f"list of {_in_words(field['items'], definitions)}"
    elif kind == "object" and (values := _values(field)) is not None:
        words = f"mapping of names to {_in_words(values, definitions)}"
    bounds = [said.format(f"{field[key]:,}") for key, said in _BOUNDS if key in field]
    return f"{words}, {' and '.join(bounds)}" if bounds else words
