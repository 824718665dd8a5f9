from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.decoding import UndecodableError, decode, known_encoding
from loresmith.data.file_types import file_type
from loresmith.data.readers.html import html_to_text, read_html
from loresmith.data.readers.jsonl import read_jsonl
from loresmith.data.readers.record import ReadingRules, Record, Refused

RULES = ReadingRules()

PAGE = """<!DOCTYPE html><html><head><title>Oil &amp; water</title><style>p { color: red }</style></head>
<body><h1>A <b>bo</b>ld  head</h1><p>one
 two<br>three<ul><li> x<li>y <i>z</i></ul>
<table><tr><th>a<th>b<tr><td>1</td> <td>2</td></table>
<pre>  k
    l</pre><p title=don't>the end</p> 1 < 2 &lt;tag&gt; <!-- <p>hidden</p> --><script>if (a<b) '</p>'</script>last"""

SEEN = """# A bold head

one two
three

- x
- y z

a\tb
1\t2

  k
    l

the end

1 < 2 <tag> last
"""


def test_html_becomes_the_text_that_a_reader_sees() -> None:
    assert html_to_text(PAGE) == (SEEN, "Oil & water")


STRUCTURE = """<body><h2>Öl</h2><p>Text<ol><li><p>eins</p><li>zwei<ul><li>tief<li>tiefer</ul><li>drei</ol>danach
<table><tr><td><p>a</p></td><td></td><td>c</td></tr><tr><td></td><td>x</table>
<template><h2>no<template>x</template>y</template><dl><dt>t<dd>d</dl><pre>
 code <b>bold</b><br>  x
</pre>tail <textarea> ta </textarea>"""


def test_lists_tables_and_code_in_html_keep_their_structure() -> None:
    """Numbers and levels of items, the column of a cell after empty ones, line ends and indentation of code."""
    text, _ = html_to_text(STRUCTURE)
    assert text == (
        "## Öl\n\nText\n\n1. eins\n2. zwei\n  - tief\n  - tiefer\n3. drei\n\ndanach\n\na\t\tc\n\tx\n\n"
        "t\nd\n\n code bold\n  x\n\ntail ta\n"
    )


@pytest.mark.parametrize(
    "unit",
    [
        "<div>",
        "<ul><li>x",
        "<pre>x",
        "<template>x",
        "<h1>x",
        "<td>",
        "<",
        "<a ",
        "<!",
        "<!--",
        "<![CDATA[",
        "&",
        "&a",
        "</a",
        "<?",
        "<a x='",
        "<a =",
        "<title>",
        "<script></s",
    ],
)
def test_hostile_html_takes_linear_time(unit: str) -> None:
    """Parsers of the standard library take minutes for some of these."""
    started = time.process_time()
    html_to_text(unit * 100_000)
    assert time.process_time() - started < 5


@settings(max_examples=200)
@given(st.lists(st.sampled_from([*"<>/='\"!-?& ab\n", "script", "pre", "<li>", "</td>", "&#x41;", "&#"]), max_size=40))
def test_any_html_is_read_or_refused_and_its_bytes_are_accounted_for(parts: list[str]) -> None:
    data = "".join(parts).encode()
    (record,) = read_html(data, RULES)
    assert record.bytes == len(data)


def test_html_says_its_encoding() -> None:
    page = "<meta charset=iso-8859-1><p>café – „quoted“".encode("cp1252")
    (record,) = read_html(page, RULES)
    assert isinstance(record, Record)
    assert record.text == "café – „quoted“\n"


@pytest.mark.parametrize(
    "page",
    [
        '<html lang="de-AT"><meta http-equiv=Content-Type content="text/html; charset=windows-1251"><p>Я',
        '<?xml version="1.0" encoding="windows-1251"?><html xml:lang=de lang=de-AT><p>Я',
    ],
)
def test_html_says_its_encoding_in_several_ways_and_its_language(page: str) -> None:
    (record,) = read_html(page.encode("cp1251"), RULES)
    assert isinstance(record, Record)
    assert (record.text, json.loads(record.metadata)) == ("Я\n", {"language": "de-AT"})


def test_an_absurd_character_reference_is_refused() -> None:
    (record,) = read_html(b"<p>&#" + b"1" * 5000 + b";", RULES)
    assert isinstance(record, Refused)


def test_a_bad_line_of_json_does_not_spoil_the_others() -> None:
    lines = [
        b'\xef\xbb\xbf{"text": "first", "n": 12345678901234567890, "a": {"z": 1, "b": null}}',
        b"",
        b"{oops",
        b"[1, 2]",
        b'{"body": "elsewhere"}',
        b'{"text": 3}',
        b'{"text": "\xff"}',
        b'{"text": "\\ud800"}',
        b'{"text": "x", "n": NaN}',
        b"[" * 100_000,
        b'{"text": "last", "note": "\\ud800"}\r',
        b'{"text": ""}',
    ]
    data = b"\n".join(lines)
    records = list(read_jsonl(data, RULES))
    assert sum(record.bytes for record in records) == len(data)
    kept = [record for record in records if isinstance(record, Record)]
    assert [(record.text, record.anchor) for record in kept] == [("first", "#L1"), ("last", "#L11"), ("", "#L12")]
    assert json.loads(kept[0].metadata) == {"n": 12345678901234567890, "a": {"z": 1, "b": None}}
    assert [record.reason for record in records if isinstance(record, Refused)] == [
        "empty",
        "not JSON",
        "not a JSON object",
        "no text field",
        "no text field",
        "undecodable",
        "undecodable",
        "not JSON",
        "not JSON",
    ]


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "text", "note": "closed"},
        {"kind": "note", "parts": [{"text": "closed"}]},
        {"kind": 'a "text": b', "note": "closed"},
    ],
)
def test_json_lines_have_the_text_field_if_one_of_them_has(line: dict[str, Any]) -> None:
    written = json.dumps(line).encode()
    (record,) = read_jsonl(b"\xef\xbb\xbf" + written, RULES)
    assert isinstance(record, Record)
    assert record.text.startswith("kind: ")
    first, second = read_jsonl(b"\n".join([written, b'{"text": "open"}']), RULES)
    assert isinstance(first, Refused)
    assert first.reason == "no text field"
    assert isinstance(second, Record)


@given(st.binary(max_size=200))
def test_every_byte_of_json_lines_is_accounted_for(data: bytes) -> None:
    assert sum(record.bytes for record in read_jsonl(data, RULES)) == len(data)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_of_any_unicode_encoding_is_read(encoding: str) -> None:
    assert decode("naïve – 中文\r\n".encode(encoding), ["utf-8"]) == "naïve – 中文\r\n"


def test_encodings_are_tried_in_order_and_never_guessed() -> None:
    latin = "café".encode("latin-1")
    with pytest.raises(UndecodableError, match="utf-8"):
        decode(latin, ["utf-8"])
    assert decode(latin, ["utf-8", "cp1252"]) == "café"
    assert decode(latin, ["utf-8"], declared="iso-8859-15") == "café"
    assert decode("é".encode(), ["utf-8"], declared="no-such-encoding") == "é"


@pytest.mark.parametrize("name", ["punycode", "unicode_escape", "utf-7", "base64", "no-such", "nul\0", "../os"])
def test_encodings_that_are_none_of_a_file_are_not_known(name: str) -> None:
    assert not known_encoding(name)


def test_source_code_says_its_encoding_and_language() -> None:
    kind = file_type("a/b/Thing.PY")
    (record,) = kind.read("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"), RULES)
    assert isinstance(record, Record)
    assert record.text.endswith("x = 'é'\n")
    assert kind.language == "python"
    assert file_type("Makefile").language == "make"
    assert file_type("notes").media_type == "text/plain"


def test_the_first_heading_of_markdown_is_its_title() -> None:
    text = b"```\n# not this\n```\n\n# The title #\n\n# another\n"
    (record,) = file_type("x.md").read(text, RULES)
    assert isinstance(record, Record)
    assert record.text == text.decode()
    assert json.loads(record.metadata) == {"title": "The title"}
