"""JSON Lines: one document a line. A bad line does not spoil the others."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import NoReturn

from loresmith.data.readers.record import ReadingRules, Record, Refused, metadata_json


def read_jsonl(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """One record a line, from the field that the rules name; the other fields are its metadata. UTF-8, as RFC 8259
    has it."""
    for number, line in enumerate(io.BytesIO(data), start=1):
        anchor = f"#L{number}"
        try:
            text, metadata = _parse(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line, rules.text_field)
        except _BadLineError as error:
            yield Refused(error.reason, f"line {number}: {error}", len(line), anchor)
        else:
            yield Record(text, len(line), anchor, metadata)


_SURROGATE = re.compile(r"[\ud800-\udfff]")


class _BadLineError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _parse(line: bytes, text_field: str) -> tuple[str, str]:
    if not line.strip():
        raise _BadLineError("empty", "the line is blank")
    try:
        record = json.loads(line.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _BadLineError("undecodable", f"utf-8: {error.reason}") from None
    except (ValueError, RecursionError) as error:
        raise _BadLineError("not JSON", str(error)) from None
    if not isinstance(record, dict):
        raise _BadLineError("not a JSON object", f"a {type(record).__name__}")
    text = record.pop(text_field, None)
    if not isinstance(text, str):
        fields = ", ".join(map(repr, list(record)[:8]))
        raise _BadLineError("no text field", f"no text in {text_field!r}; the other fields are {fields or 'none'}")
    if _SURROGATE.search(text):
        raise _BadLineError("undecodable", "half of a surrogate pair")
    return text, metadata_json(record)
