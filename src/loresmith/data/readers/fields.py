"""A record's fields as text: by the recipe's template, from the field that holds the text, or in lines."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from loresmith.data.readers.complaint import kind_of
from loresmith.data.readers.record import ReadingRules, Record, Refused, metadata_json
from loresmith.data.record_template import RecordTemplate, TemplateRecordError, unknown_field
from loresmith.errors import UserError

_NOTHING: Mapping[str, Any] = {}
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LABEL_DIVIDER = re.compile(r"\s*[,;|]\s*")

NOT_LABELS = "no labels"
"""Why a record is refused of which nobody can tell who may read it."""


class FieldsToText:
    """Makes records of fields, by the rules of the recipe.

    - With a template, its text; the metadata keeps all fields.
    - Without one, the text field's text; the metadata keeps the other fields.
    - Where no record of a table has the text field, lines of `name: value`; empty fields are left out.
    - A record without the field for labels, or with something else in it, is refused: nothing that stands there says
      that anybody may read it.

    Args:
        has_text_field: whether the table has the text field; then a record without it is refused.
    """

    def __init__(self, rules: ReadingRules, *, has_text_field: bool) -> None:
        self._rules = rules
        self._has_text_field = has_text_field
        self._template = RecordTemplate(rules.template) if rules.template is not None else None

    def misfit(self, columns: Collection[str]) -> tuple[str, str] | None:
        """Why no record of a table with these columns is one, as the reason and detail of a refusal."""
        if self._rules.labels_field and self._rules.labels_field not in columns:
            return NOT_LABELS, _no_labels_field(self._rules.labels_field, columns)
        if self._template is None:
            return None
        try:
            self._template.require_fields(columns)
        except UserError as error:
            return "template", f"{error.where}: {error.what}"
        return None

    def record(
        self, fields: Mapping[str, Any], size: int, anchor: str, start: int = 0, more: Mapping[str, Any] = _NOTHING
    ) -> Record | Refused:
        """The record of fields that take up `size` bytes of the file from `start` on; `more` is for its metadata."""
        labels = self._labels(fields)
        if isinstance(labels, str):
            return Refused(NOT_LABELS, labels, size, anchor)
        plain = {name: plain_value(value) for name, value in fields.items() if name != self._rules.labels_field}
        rest: Mapping[str, Any] = plain
        if self._template is not None:
            try:
                text = self._template.render(plain)
            except TemplateRecordError as error:
                return Refused("template", str(error), size, anchor)
        elif self._has_text_field:
            found = plain.pop(self._rules.text_field, None)
            if not isinstance(found, str):
                there = kind_of(found) if found is not None else "nothing"
                detail = f"no text in {self._rules.text_field!r} but {there}; it has {len(plain)} other fields"
                return Refused("no text field", detail, size, anchor)
            text = found
        else:
            text, rest = lines_of(plain), {}
        if _SURROGATE.search(text):
            return Refused("undecodable", "half of a surrogate pair", size, anchor)
        return Record(text, size, anchor, metadata_json({**more, **rest}), start=start, labels=labels)

    def _labels(self, fields: Mapping[str, Any]) -> tuple[str, ...] | str:
        """A record's labels, or why nobody can tell them."""
        name = self._rules.labels_field
        if not name:
            return ()
        return labels_in(fields[name], name) if name in fields else _no_labels_field(name, fields)


def named_fields(rules: ReadingRules) -> frozenset[str]:
    """The fields of which the rules speak: a table in which one of them is found has names for its columns."""
    template = RecordTemplate(rules.template).named if rules.template is not None else frozenset()
    return template | {name for name in (rules.text_field, rules.labels_field) if name}


def labels_in(value: Any, field: str) -> tuple[str, ...] | str:
    """The labels in a field: a list of texts, or text divided by commas, semicolons or bars; nothing is none. Of
    anything else, what it is instead: who reads on would have to guess."""
    if value is None:
        return ()
    found = _LABEL_DIVIDER.split(value) if isinstance(value, str) else value
    if not isinstance(found, list):
        return f"labels_field: {field!r} has {kind_of(value)}; labels are a text, or a list of texts"
    others = [kind_of(each) for each in found if not isinstance(each, str)]
    if others:
        return f"labels_field: {field!r} has a list with {others[0]}; labels are a text, or a list of texts"
    return tuple(sorted({label.strip() for label in found if label.strip()}))


def _no_labels_field(name: str, fields: Collection[str]) -> str:
    return f"labels_field: {unknown_field(name, fields)}"


def lines_of(fields: Mapping[str, Any]) -> str:
    """`name: value` lines; a value of several lines stands below its name, lists and mappings are JSON."""
    lines = []
    for name, value in fields.items():
        if value is None or value in ("", [], {}):
            continue
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines.append(f"{name}:\n{written}\n" if "\n" in written.strip() else f"{name}: {written.strip()}\n")
    return "".join(lines)


def plain_value(value: Any, depth: int = 0) -> Any:
    """A value as JSON could hold it: times in ISO 8601, decimals as they are written, no bytes.

    Nested deeper than 100 levels, it is None.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} bytes)"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if depth > 100:
        return None
    if isinstance(value, Mapping):
        return {str(name): plain_value(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, Collection):
        return [plain_value(inner, depth + 1) for inner in value]
    if isinstance(value, Decimal | UUID):
        return str(value)
    return str(value)
