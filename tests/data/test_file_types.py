from __future__ import annotations

import subprocess
import sys

import pytest

from loresmith.data.file_types import HEAD_BYTES, file_type
from loresmith.data.readers.record import ReadingRules, Refused
from tests.data.office_files import compound, docx, epub, odf, package, paragraph, pptx, shape, xlsx
from tests.data.pdf_files import Page, pdf

_OOXML = "application/vnd.openxmlformats-officedocument"
WORD, SLIDES, SHEET = (
    f"{_OOXML}.{name}" for name in ("wordprocessingml.document", "presentationml.presentation", "spreadsheetml.sheet")
)
ODT = "application/vnd.oasis.opendocument.text"
PAGE = b"<!-- x --><!DOCTYPE html><p>x"


@pytest.mark.parametrize(
    ("path", "data", "media_type"),
    [
        ("a/report", pdf([Page(["x"])]), "application/pdf"),
        ("report.txt", pdf([Page(["x"])]), "application/pdf"),
        ("report.pdf", PAGE, "text/html"),
        ("report.pdf", b"%PDF" + bytes(9), "application/pdf"),
        ("page", PAGE, "text/html"),
        ("page", "\ufeff<html>".encode("utf-16-le"), "text/html"),
        ("page", b"<b>not</b> a page", "text/plain"),
        ("page.md", b"<div>a note</div>", "text/markdown"),
        ("a.zip", docx(paragraph("x")), WORD),
        ("a", pptx([shape("x")]), SLIDES),
        ("a.docx", xlsx({"a": ""}, []), SHEET),
        ("a", odf("text", ""), ODT),
        ("a.zip", epub({"a": ""}), "application/epub+zip"),
        ("a.docx", package({"other.xml": ""}), WORD),
        ("a.doc", b"{\\rtf1 x}", "application/rtf"),
        ("a.xls", b"a\tb\n1\t2\n", "text/plain"),
        ("a.xls", PAGE, "text/html"),
        ("inputrc.arrows", b"# Arrow keys in keypad mode\n", "text/plain"),
        ("a", compound(("WordDocument", b"")), "application/msword"),
        ("a.docx", compound(("EncryptedPackage", b"")), "application/x-ole-storage"),
        ("a.rst", b"x", "text/x-rst"),
        ("a.tex", b"x", "application/x-tex"),
        ("a.py", b"x = '<html>'", "text/x-python"),
        ("find.info-2", b"* Menu:\n\0\x08[index\0\x08]\n* find: Invoking.\n", "text/plain"),
        ("find.info-2", b"\0\x08[index\0\x08] \0", "application/octet-stream"),
        ("a.unknown", b"\x01\0\x02", "application/octet-stream"),
        ("a.py", b"\x01\0\x02", "application/octet-stream"),
        ("a.pdf", b"\x01\0\x02", "application/pdf"),
    ],
)
def test_content_decides_before_the_name(path: str, data: bytes, media_type: str) -> None:
    assert file_type(path, data[:HEAD_BYTES]).media_type == media_type


def test_the_name_alone_decides_where_nothing_was_read() -> None:
    assert file_type("a/B.PDF").media_type == "application/pdf"
    assert file_type("a/B.PDF").binary
    assert not file_type("a.md").binary
    assert file_type("a").media_type == "text/plain"


def test_a_document_of_unknown_kind_is_read_as_what_it_is() -> None:
    """The head may end before the part that tells: the reader looks at all of the file."""
    data = docx(paragraph("Größe"))
    start = data.index(b"word/document.xml") - 30
    kind = file_type("a", data[:start])
    (record,) = kind.read(data, ReadingRules())
    assert not isinstance(record, Refused)
    assert (record.text, record.media_type) == ("Größe\n", WORD)


def test_unknown_binary_content_is_refused_as_binary() -> None:
    (refused,) = file_type("a", b"\x01\0").read(b"\x01\0", ReadingRules())
    assert isinstance(refused, Refused)
    assert refused.reason == "binary"


def test_types_load_no_library_until_they_are_read() -> None:
    code = (
        "import sys, loresmith.data.file_types; print([name for name in ('pypdfium2', 'pdf_oxide', 'olefile', 'numpy',"
    )
    code += " 'pyarrow', 'loresmith.data.readers.html') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"[]"
