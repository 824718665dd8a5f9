"""JSON: an array of objects is records, and anything else is one document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from loresmith.data.byte_places import BytePlaces
from loresmith.data.decoding import decode_file
from loresmith.data.readers.complaint import complaint
from loresmith.data.readers.fields import NOT_LABELS, FieldsToText, labels_in
from loresmith.data.readers.jsonl import no_constant
from loresmith.data.readers.record import ReadingRules, Record, Refused, metadata_json

_BLANK = re.compile(r"[ \t\r\n]*")
_DIVIDER = re.compile(r"[ \t\r\n]*,[ \t\r\n]*")
_END = re.compile(r"[ \t\r\n]*\][ \t\r\n]*\Z")


def read_json(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """The objects of an array, one record each, with the bytes in which they stand; or one record.

    One object is text by the template or from its text field, if it has one, and any other document is its own text:
    a configuration file says what it says, and has labels if it has the field for them. What follows damage in an array
    is refused as a whole.
    """
    decoded = decode_file(data, rules.encodings)
    text = decoded.text
    decoder = json.JSONDecoder(parse_constant=no_constant)
    begin = _end(_BLANK, text, 0)
    first = _end(_BLANK, text, begin + 1)
    if text[begin : begin + 1] == "[" and text[first : first + 1] == "{":
        yield from _objects(text, first, BytePlaces(decoded, len(data)), len(data), rules)
        return
    try:
        value = decoder.decode(text)
    except (ValueError, RecursionError) as error:
        yield Refused("not JSON", complaint(error), len(data))
        return
    has_text = isinstance(value, dict) and isinstance(value.get(rules.text_field), str)
    if isinstance(value, dict) and (has_text or rules.template is not None):
        yield FieldsToText(rules, has_text_field=True).record(value, len(data), "")
    else:
        fields = value if isinstance(value, dict) else {}
        labels = labels_in(fields.get(rules.labels_field), rules.labels_field)
        if isinstance(labels, str):
            yield Refused(NOT_LABELS, labels, len(data))
        else:
            yield Record(text, len(data), metadata=metadata_json(decoded.metadata), language="json", labels=labels)


def _objects(
    text: str, position: int, places: BytePlaces, size: int, rules: ReadingRules
) -> Iterator[Record | Refused]:
    decoder = json.JSONDecoder(parse_constant=no_constant)
    to_text = FieldsToText(rules, has_text_field=json.dumps(rules.text_field, ensure_ascii=False) in text)
    start, number = 0, 0
    while True:
        number += 1
        anchor = f"#/{number - 1}"
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            yield Refused("damaged", f"from element {number} on: {complaint(error)}", size - start, anchor)
            return
        divider = _DIVIDER.match(text, end)
        last = divider is None and _END.match(text, end) is not None
        position = divider.end() if divider else end
        stop = size if last else places.at(position)
        if isinstance(value, dict):
            yield to_text.record(value, stop - start, anchor, start)
        else:
            yield Refused("not a JSON object", f"a {type(value).__name__}", stop - start, anchor)
        start = stop
        if last:
            return
        if divider is None:
            yield Refused("damaged", f"the array ends after element {number}", size - start, f"#/{number}")
            return


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position
