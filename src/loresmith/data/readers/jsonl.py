"""JSON Lines: one document a line. A bad line does not spoil the others."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NoReturn

from loresmith.data.readers.complaint import InOwnWordsError, complaint
from loresmith.data.readers.fields import FieldsToText
from loresmith.data.readers.record import ReadingRules, Record, Refused


def read_jsonl(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """One record a line, as `FieldsToText` has it. UTF-8, as RFC 8259 has it.

    The file has the text field if any of its objects has it.
    """
    to_text = FieldsToText(rules, has_text_field=_has_field(data, rules.text_field))
    start = 0
    for number, line in enumerate(io.BytesIO(data), start=1):
        anchor = f"#L{number}"
        try:
            fields = parse_object(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line)
        except BadJsonError as error:
            yield Refused(error.reason, f"line {number}: {error}", len(line), anchor)
        else:
            yield to_text.record(fields, len(line), anchor, start)
        start += len(line)


def _has_field(data: bytes, name: str) -> bool:
    """Whether a line has the field, and not only a value, or an object inside it, that is called so."""
    if json.dumps(name, ensure_ascii=False).encode() not in data:
        return False
    for line in io.BytesIO(data):
        with suppress(BadJsonError):
            if name in parse_object(line.removeprefix(codecs.BOM_UTF8)):
                return True
    return False


class BadJsonError(Exception):
    """Bytes that are no JSON object; `reason` as for `Refused`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def no_constant(name: str) -> NoReturn:
    """For `parse_constant`: NaN and Infinity are not JSON."""
    raise InOwnWordsError(f"{name} is not JSON")


def parse_object(line: bytes) -> dict[str, Any]:
    """The fields of a JSON object.

    Raises:
        BadJsonError: it is none.
    """
    if not line.strip():
        raise BadJsonError("empty", "the line is blank")
    try:
        record = json.loads(line.decode(), parse_constant=no_constant)
    except UnicodeDecodeError as error:
        raise BadJsonError("undecodable", f"utf-8: {error.reason}") from None
    except (ValueError, RecursionError) as error:
        raise BadJsonError("not JSON", complaint(error)) from None
    if not isinstance(record, dict):
        raise BadJsonError("not a JSON object", f"a {type(record).__name__}")
    return record
