"""Whatever happened to a document, its reader says what it found or why it found nothing, and says it soon."""

from __future__ import annotations

import io
import random
import time
import zipfile
from collections.abc import Callable

import pytest

from loresmith.data.decoding import UndecodableError
from loresmith.data.file_types import HEAD_BYTES, file_type
from loresmith.data.readers.record import Reader, ReadingRules, Record, Refused
from tests.data.office_files import compound, docx, epub, flat_odf, odf, package, paragraph, pptx, shape, xlsx
from tests.data.pdf_files import Page, pdf
from tests.data.test_markup_readers import LATEX, RST, RTF
from tests.data.test_office_readers import NUMBERING, ODT, ODT_STYLES, STYLES
from tests.data.test_readers import PAGE

RULES = ReadingRules(encodings=("utf-8", "cp1252"))
MUTATIONS = 40
SHEET = '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" s="1"><v>45356.5</v></c><c><f>A1</f></c></row>'
LINES = ["Die Förderschnecke fördert das Gut zum Ofen.", "泵的维护手册"] * 3
FILES: dict[str, bytes] = {
    "a.pdf": pdf([Page(LINES), Page(scan=True), Page(LINES, gap=60)], title="Ölpumpe"),
    "locked.pdf": pdf([Page(LINES)], password=""),
    "a.docx": docx(paragraph("Größe", '<w:pStyle w:val="H1"/>') * 3, STYLES, NUMBERING),
    "a.pptx": pptx([shape("Größe", "title") + shape("eins\nzwei", "body")] * 2, {1: "Notiz"}),
    "a.xlsx": xlsx(
        {"Blatt": SHEET * 3}, ["<t>Störung</t>"], '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
    ),
    "a.odt": odf("text", ODT, ODT_STYLES),
    "a.fodt": flat_odf("text", ODT, ODT_STYLES),
    "a.epub": epub({"a.xhtml": PAGE, "b.xhtml": PAGE}),
    "a.doc": compound(("WordDocument", bytes(12)), ("1Table", b"")),
    "a.rtf": RTF,
    "a.html": PAGE.encode(),
    "a.rst": RST.encode(),
    "a.tex": LATEX.encode("latin-1"),
}


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 1, 8, 64])):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _cut_off(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data) + 1) :]


def _cut_out(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    del data[at : at + chance.randrange(400)]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    data[at:at] = data[at : at + chance.randrange(1, 200)] * chance.choice([1, 3, 300])


def _overwrite(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    data[at : at + 8] = chance.choice([bytes(8), b"\xff" * 8, b"<!--&#x0;", b"]]>{\\u-1", chance.randbytes(8)])


MUTATE: tuple[Callable[[bytearray, random.Random], None], ...] = (_flip, _cut_off, _cut_out, _repeat, _overwrite)


def _mutated(data: bytes, chance: random.Random) -> bytes:
    """The file changed, or, every other time for a zip file, one of its members, packed again."""
    if data.startswith(b"PK") and chance.random() < 0.5:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            parts = {name: file.read(name) for name in file.namelist()}
        name = chance.choice(sorted(parts))
        parts[name] = _mutated(parts[name], chance)
        return package(parts)
    held = bytearray(data)
    chance.choice(MUTATE)(held, chance)
    return bytes(held)


def _check(read: Reader, data: bytes) -> None:
    started = time.process_time()
    try:
        found = list(read(data, RULES))
    except UndecodableError:
        found = []
    assert time.process_time() - started < 5
    for record in found:
        assert isinstance(record, Record | Refused)
        assert record.bytes == len(data)
        if isinstance(record, Record):
            record.text.encode()
            offsets = [at for _, at in record.pages]
            assert offsets == sorted(set(offsets))
            assert all(at < len(record.text) for at in offsets)
        else:
            assert record.reason
            assert record.reason == record.reason.lower()


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_document_is_read_or_refused(name: str) -> None:
    data = FILES[name]
    _check(file_type(name, data[:HEAD_BYTES]).read, data)
    for seed in range(MUTATIONS):
        mutated = _mutated(data, random.Random(f"{name} {seed}"))
        _check(file_type(name).read, mutated)
        _check(file_type(name, mutated[:HEAD_BYTES]).read, mutated)


@pytest.mark.parametrize("name", FILES)
def test_the_same_bytes_give_the_same_records(name: str) -> None:
    read = file_type(name).read
    assert list(read(FILES[name], RULES)) == list(read(bytes(bytearray(FILES[name])), RULES))


@pytest.mark.parametrize("name", [name for name in FILES if name != "a.doc"])
def test_any_bytes_under_a_documents_name_are_read_or_refused(name: str) -> None:
    chance = random.Random(name)
    for size in (0, 1, 8, 100, 5000):
        for head in (b"", FILES[name][:8], FILES[name][:60]):
            _check(file_type(name).read, head + chance.randbytes(size))
