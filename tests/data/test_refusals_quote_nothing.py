"""Why a file or a record was refused is read by people who may not read the documents: no word of those is in it."""

from __future__ import annotations

import io
import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import PIL.PngImagePlugin
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.database_source import about_the_query, read_query
from loresmith.data.messages import BadRecordError
from loresmith.data.messages_shapes import parse_record
from loresmith.data.readers.record import ReadingRules, Refused
from loresmith.data.reading.worker import read_file
from loresmith.errors import Failure, UserError
from tests.data.archive_files import LZMA2, seven_zipped, tarred, zipped
from tests.data.mail_files import mail
from tests.data.office_files import docx, epub, flat_odf, odf, paragraph, pptx, shape, xlsx
from tests.data.pdf_files import Page, pdf
from tests.data.tables import ingest, rows, write_files
from tests.data.test_media_and_languages import FLAC, M4A, MP3, VORBIS

CANARY = "Kanarienvogel"
PIECE = 5
"""Letters of it that would already tell."""

MUTATIONS = 40
RULES = ReadingRules(("utf-8", "auto"), max_unpacked_bytes=1 << 24, max_member_bytes=1 << 23, max_members=1000)


def _attached() -> bytes:
    message = mail(text=f"{CANARY}\n\nOn Monday, {CANARY} wrote:\n> why\n")
    message["X-Told"] = CANARY
    message.add_alternative(f"<p>{CANARY}</p>", subtype="html")
    return message.as_bytes()


def _sealed() -> bytes:
    sealed = f"Content-Type: multipart/encrypted; protocol={CANARY}; boundary=x"
    return f"From: a@example.org\nSubject: x\n{sealed}\n\n".encode()


def _picture() -> bytes:
    told = PIL.PngImagePlugin.PngInfo()
    told.add_text("Comment", CANARY)
    made = io.BytesIO()
    PIL.Image.new("RGB", (9, 9)).save(made, "PNG", pnginfo=told)
    return made.getvalue()


def _table(form: str) -> bytes:
    table = pa.table({"text": [f"{CANARY} {number}" for number in range(9)], CANARY: [CANARY] * 9})
    sink = io.BytesIO()
    if form == "parquet":
        pq.write_table(table, sink)
    else:
        with pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)
    return sink.getvalue()


def _database(folder: Path) -> bytes:
    path = folder / "a.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {CANARY} (text TEXT, {CANARY} TEXT)")
        connection.executemany(f"INSERT INTO {CANARY} VALUES (?, ?)", [(CANARY, CANARY)] * 40)
    connection.close()
    return path.read_bytes()


def _with_size(archive: bytes, size: bytes) -> bytes:
    """A tar file whose first header has this for a size, and the right checksum."""
    header = bytearray(archive[:512])
    header[124:136] = size.ljust(12, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + archive[512:]


_LINES = [f"{CANARY} und mehr: {number}" for number in range(20)]
_HELD = {"a.txt": "\n".join(_LINES).encode(), "b.json": json.dumps({CANARY: CANARY}).encode()}
_MARKED = f"<!DOCTYPE html><title>{CANARY}</title><p>{CANARY} &{CANARY}; &#{'9' * 5000};"
SEEDS: dict[str, bytes] = {
    "a.pdf": pdf([Page(_LINES), Page(scan=True)], title=CANARY),
    "a.docx": docx(paragraph(CANARY) * 3),
    "a.pptx": pptx([shape(CANARY, "title")], {1: CANARY}),
    "a.xlsx": xlsx({"x": '<row r="1"><c r="A1" t="s"><v>0</v></c></row>'}, [f"<t>{CANARY}</t>"]),
    "a.odt": odf("text", f"<text:p>{CANARY}</text:p>" * 3),
    "a.fodt": flat_odf("text", f"<text:p>{CANARY}</text:p>" * 3),
    "a.epub": epub({"a.xhtml": f"<p>{CANARY}</p>"}),
    "a.rtf": rb"{\rtf1\ansi {\b " + CANARY.encode() + rb"\par} \u1000? }",
    "a.html": _MARKED.encode(),
    "a.rst": "\n".join(_LINES).encode("utf-16"),
    "a.tex": "\n".join(_LINES).encode() + b"\xe9",
    "a.txt": "\n".join(_LINES).encode(),
    "a.zip": zipped(_HELD),
    "a.tar": tarred(_HELD),
    "a.7z": seven_zipped(_HELD, LZMA2),
    "a.eml": _attached(),
    "b.eml": _sealed(),
    "a.mbox": b"From a@example.org Mon Nov  2 10:00:00 2026\n" + _attached(),
    "a.csv": "".join(f'{CANARY},"{CANARY}",3\n' for _ in range(9)).encode(),
    "a.json": json.dumps([{"text": CANARY, CANARY: CANARY}] * 9).encode(),
    "b.json": json.dumps({CANARY: [CANARY] * 9}).encode(),
    "a.jsonl": (json.dumps({"text": CANARY, CANARY: 3}) + "\n").encode() * 9,
    "a.parquet": _table("parquet"),
    "a.arrow": _table("arrow"),
    "a.png": _picture(),
    "a.flac": FLAC,
    "a.m4a": M4A,
    "a.mp3": MP3,
    "a.ogg": VORBIS,
    "a.xml": f'<?xml version="1.0" encoding="{CANARY}"?><a>{CANARY}</a>'.encode(),
}
TEMPLATES = (
    None,
    f"{{{{ {CANARY[::-1]} }}}}",
    "{{ text | int / 0 }}{{ text.nothing }}",
    "{{ text - 1 }}",
    "{{ record[text] }}",
    "{{ text[text] }}{{ text() }}",
    "{% for x in text %}{{ record[x] }}{% endfor %}",
)


def quotes(said: str) -> bool:
    """Whether something tells a piece of the canary."""
    pieces = {CANARY[at : at + PIECE].lower() for at in range(len(CANARY) - PIECE + 1)}
    return any(piece in said.lower() for piece in pieces)


def refusals(name: str, data: bytes, folder: Path, rules: ReadingRules) -> Iterator[Refused]:
    spool = folder / "spool"
    spool.mkdir(exist_ok=True)
    for found in read_file(data, name, rules, spool).records():
        if isinstance(found, Refused):
            yield found


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Damaged, and with the canary in a place where a reader looks for something else."""
    changed = bytearray(data)
    for _ in range(chance.choice([0, 1, 1, 4])):
        at = chance.randrange(len(changed))
        changed[at : at + chance.choice([0, len(CANARY), 1])] = CANARY.encode()
    for _ in range(chance.choice([0, 1, 8])):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    if chance.random() < 0.3:
        del changed[chance.randrange(len(changed)) :]
    return bytes(changed)


@pytest.mark.parametrize("name", [*SEEDS, "a.sqlite"])
def test_no_refusal_of_a_file_quotes_it(name: str, tmp_path: Path) -> None:
    data = SEEDS.get(name) or _database(tmp_path)
    chance = random.Random(name)
    refused = 0
    for number in range(MUTATIONS):
        rules = ReadingRules(RULES.encodings, template=TEMPLATES[number % len(TEMPLATES)])
        for found in refusals(name, mutated(data, chance) if number >= len(TEMPLATES) else data, tmp_path, rules):
            refused += 1
            if found.reason in ("path escapes", "path too long"):
                continue  # which name in an archive is meant is said
            assert not quotes(found.reason + found.detail), (name, number, found)
    assert refused or name in ("a.txt", "a.flac", "a.mp3", "a.mbox")  # which nearly anything is


TOLD: dict[str, bytes] = {
    "chunk.png": _picture().replace(b"tEXt", CANARY[:4].encode()).replace(b"IDAT", CANARY[-4:].encode()),
    "header.tar": _with_size(tarred({"a": b"x"}), CANARY[:11].encode()),
    "entity.fodt": flat_odf("text", f"<text:p>&{CANARY};</text:p>"),
    "nested.html": ("<b>" * 5000 + CANARY).encode(),
    "number.json": f"[{{{json.dumps(CANARY)}: {'9' * 5000}}}]".encode(),
}


@pytest.mark.parametrize("name", TOLD)
def test_nor_does_a_refusal_of_what_libraries_like_to_quote(name: str, tmp_path: Path) -> None:
    for found in refusals(name, TOLD[name], tmp_path, RULES):
        assert not quotes(found.reason + found.detail), found
        assert not any(CANARY[at : at + 4] in found.detail for at in range(len(CANARY) - 3)), found


values: Any = st.recursive(
    st.sampled_from([CANARY, CANARY + "s", 3, None, 0.5, True, "", "user", "assistant", "gpt", "text", "NaN"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([CANARY, "role", "content", "messages", "from", "value", "type", "tool_calls", "function"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
KEYS = ("messages", "prompt", "completion", "instruction", "output", "conversations", "tools", "labels", CANARY, "id")


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=4), st.booleans())
def test_no_refusal_of_a_conversation_quotes_it(record: dict[str, Any], cut: bool) -> None:
    line = json.dumps(record).encode()
    said = ""
    try:
        parse_record(line[:-1] if cut else line)
    except BadRecordError as error:
        said = f"{error.reason} {error}"
    assert not quotes(said), record


@pytest.mark.parametrize(
    "message",
    [
        {"role": CANARY, "content": CANARY},
        {"role": "user", "content": [{"type": f"image_{CANARY}"}]},
        {"role": "user", "content": [{"type": CANARY}]},
        {"role": "user", "content": CANARY, CANARY: 1},
        {"role": "assistant", "content": "a", "weight": CANARY},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": f"{{{CANARY}"}]},
        {"role": "assistant", "content": "", "tool_calls": CANARY},
        {"role": "tool", "content": "a", "tool_call_id": CANARY},
    ],
)
def test_nor_does_one_of_a_message(message: dict[str, Any]) -> None:
    asked = {"role": "user", "content": "a"}
    with pytest.raises(BadRecordError) as refused:
        parse_record(json.dumps({"messages": [asked, message, {"role": "assistant", "content": "b"}]}).encode())
    assert not quotes(f"{refused.value.reason} {refused.value}")


def test_a_defect_of_a_reader_is_told_by_its_kind_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loresmith.data.readers import text

    def fails(data: bytes, rules: ReadingRules) -> Iterator[Refused]:
        raise ValueError(data.decode())

    monkeypatch.setattr(text, "read_text", fails)
    (found,) = refusals("a.txt", CANARY.encode(), tmp_path, RULES)
    assert found.reason == "crashed the reader"
    assert found.detail.startswith("ValueError")
    assert not quotes(found.detail)


def test_the_books_quote_nothing(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "in",
        {
            "good.txt": "text",
            "a.csv": f"{CANARY},x\n1,2\n",
            "b.jsonl": json.dumps({CANARY: CANARY}) + "\n" + f'{{"text": {CANARY}}}\n',
            "c.json": f'{{"{CANARY}": {CANARY}}}',
        },
    )
    made = ingest(folder, tmp_path, template="{{ text }}").outputs["documents"].directory
    books = rows(made, "books.parquet")
    assert sum(row["disposition"] == "quarantined" for row in books) == 4
    assert not any(quotes(row["reason"] + row["detail"]) for row in books)


SECRET = "the salary of Ada"


class RefusalError(Exception):
    """As a PostgreSQL driver raises it."""


@pytest.mark.parametrize("before", [0, 3000])
def test_a_database_that_cannot_read_a_row_quotes_nothing_of_it(before: int, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("CREATE TABLE pay (id INTEGER, told TEXT)")
        database.executemany("INSERT INTO pay VALUES (?, 'x')", [(number,) for number in range(before)])
        database.execute("INSERT INTO pay VALUES (9999, CAST(? AS TEXT))", (b"\xff" + SECRET.encode(),))
    with pytest.raises((UserError, Failure)) as refused:
        list(read_query(f"sqlite:///{tmp_path}/x.db", "SELECT told FROM pay ORDER BY id", ReadingRules()))
    assert "Ada" not in str(refused.value)
    assert "OperationalError; what it says is left out" in str(refused.value)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT tod FROM pay ORDER BY id", "no such column: tod"),
        ("SELECT told FROM py ORDER BY id", "no such table: py"),
        ("SELECT told FRO pay ORDER BY id", 'near "pay": syntax error'),
        ("SELECT told FROM pay ORDER BY 7", "1st ORDER BY term"),
    ],
)
def test_what_is_wrong_with_a_query_is_told(query: str, said: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("CREATE TABLE pay (id INTEGER, told TEXT)")
    with pytest.raises(UserError) as refused:
        list(read_query(f"sqlite:///{tmp_path}/x.db", query, ReadingRules()))
    assert said in str(refused.value)


def test_of_what_postgresql_says_only_that_about_the_query_is_told() -> None:
    wrong_value = {"C": "22P02", "M": f'invalid input syntax for type integer: "{SECRET}"', "W": SECRET}
    wrong_name = {"C": "42703", "M": 'column "tod" does not exist', "W": SECRET}
    assert about_the_query(RefusalError(wrong_value)).startswith("RefusalError 22P02; what it says is left out")
    assert about_the_query(RefusalError(wrong_name)) == 'column "tod" does not exist'
    other = RefusalError(f"no such value: {SECRET}\nDETAIL: {SECRET}")
    assert SECRET not in about_the_query(other)
    other.sqlstate = "42P01"  # type: ignore[attr-defined]
    assert about_the_query(other) == f"no such value: {SECRET}"
