from __future__ import annotations

import json
import zipfile
from io import BytesIO

import pytest

from loresmith.data.readers.compound import read_compound
from loresmith.data.readers.epub import read_epub
from loresmith.data.readers.odf import read_odf
from loresmith.data.readers.ooxml import read_ooxml
from loresmith.data.readers.record import Reader, ReadingRules, Record, Refused
from tests.data.office_files import (
    compound,
    docx,
    epub,
    flat_odf,
    odf,
    package,
    paragraph,
    pptx,
    shape,
    with_password,
    xlsx,
)

RULES = ReadingRules()
STYLES = """<w:style w:styleId="H1"><w:name w:val="heading 1"/><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr>
</w:pPr></w:style>
<w:style w:styleId="H2"><w:name w:val="Meine"/><w:basedOn w:val="H1"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr>
</w:style>"""
NUMBERING = """<w:abstractNum w:abstractNumId="0">
<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.%2)"/></w:lvl></w:abstractNum>
<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="o"/></w:lvl>
</w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>
<w:num w:numId="3"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="4"/>
</w:lvlOverride></w:num>"""


def _read(read: Reader, data: bytes) -> Record:
    (record,) = read(data, RULES)
    assert isinstance(record, Record), record
    assert record.bytes == len(data)
    return record


def _reason(read: Reader, data: bytes) -> str:
    (record,) = read(data, RULES)
    assert isinstance(record, Refused), record
    assert record.bytes == len(data)
    return record.reason


def _item(text: str, list_: int, level: int = 0) -> str:
    return paragraph(text, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{list_}"/></w:numPr>')


def test_word_headings_lists_and_scripts() -> None:
    body = paragraph("Größe", '<w:pStyle w:val="H1"/>') + paragraph("Tiefe", '<w:pStyle w:val="H2"/>')
    body += paragraph("Ελληνικά 手册 שלום") + _item("eins", 2) + _item("zwei", 2) + _item("b", 1, 1) + _item("c", 1, 1)
    body += _item("vier", 3) + _item("fünf", 3)
    record = _read(read_ooxml, docx(body, STYLES, NUMBERING))
    assert record.text == (
        "# 1. Größe\n\n## 2. Tiefe\n\nΕλληνικά 手册 שלום\n\n- eins\n- zwei\n  2.a) b\n  2.b) c\n4. vier\n5. fünf\n"
    )
    assert json.loads(record.metadata) == {"title": "Wartung", "author": "Ü. Öz"}


def test_word_gives_the_final_text() -> None:
    """Tracked changes as accepted, without hidden text and comments, whose numbers are in the metadata."""
    body = """<w:p><w:r><w:t>Druck </w:t></w:r><w:del><w:r><w:delText>alt</w:delText></w:r></w:del><w:ins><w:r>
<w:t>neu</w:t>
    </w:r></w:ins><w:moveFrom><w:r><w:t>weg</w:t></w:r></w:moveFrom><w:r><w:rPr><w:vanish/></w:rPr>
<w:t>versteckt</w:t></w:r>
    <w:r><w:tab/><w:t>3</w:t><w:br/><w:t>bar</w:t></w:r><w:r><w:fldChar/><w:instrText>PAGE</w:instrText></w:r><mc:AlternateContent>
    <mc:Choice><w:r><w:t>!</w:t></w:r></mc:Choice><mc:Fallback><w:r><w:t>doppelt</w:t></w:r></mc:Fallback>
    </mc:AlternateContent></w:p>"""
    record = _read(
        read_ooxml, docx(body, comments='<w:comment w:id="1"><w:p><w:r><w:t>hm</w:t></w:r></w:p></w:comment>')
    )
    assert record.text == "Druck neu\t3\nbar!\n"
    metadata = json.loads(record.metadata)
    assert (metadata["comments"], metadata["tracked_changes"]) == (1, 3)


def test_word_tables_keep_their_columns() -> None:
    def cell(text: str, properties: str = "") -> str:
        return f"<w:tc><w:tcPr>{properties}</w:tcPr>{''.join(map(paragraph, text.split('|')))}</w:tc>"

    inner = f"<w:tbl><w:tr>{cell('x')}{cell('y')}</w:tr></w:tbl>"
    rows = cell("weit", '<w:gridSpan w:val="2"/>') + cell("hoch", '<w:vMerge w:val="restart"/>')
    rows = f"<w:tr>{rows}</w:tr><w:tr>{cell('a|b')}{cell('c')}{cell('', '<w:vMerge/>')}</w:tr>"
    rows += f"<w:tr><w:tc>{inner}</w:tc>{cell('')}{cell('d')}</w:tr>"
    frame = f"<w:tbl><w:tr>{cell('Achtung|Heiß')}</w:tr></w:tbl>"
    record = _read(read_ooxml, docx(f"<w:tbl>{rows}</w:tbl>{frame}"))
    assert record.text == "weit\t\thoch\na b\tc\nx y\t\td\n\nAchtung\n\nHeiß\n"


def test_word_footnotes_and_formulas() -> None:
    body = """<w:p><w:r><w:t>Satz</w:t></w:r><w:r><w:footnoteReference w:id="5"/></w:r><m:oMath><m:f><m:num>
<m:r><m:t>a</m:t></m:r>
    </m:num><m:den><m:r><m:t>b</m:t></m:r></m:den></m:f></m:oMath></w:p>"""
    record = _read(read_ooxml, docx(body, footnotes=f'<w:footnote w:id="5">{paragraph("Fuß")}</w:footnote>'))
    assert record.text == "Satz[^1](a)/(b)\n\n[^1]: Fuß\n"


def test_slides_come_in_their_order_with_notes_and_tables_and_without_hidden_ones() -> None:
    cells = "".join(
        f"<a:tc{more}><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>"
        for text, more in (("breit", ' gridSpan="2"'), ("", ' hMerge="1"'), ("c", ""))
    )
    table = f"<p:graphicFrame><a:tbl><a:tr>{cells}</a:tr></a:tbl></p:graphicFrame>"
    numbered = shape("erst\ndann", properties='<a:pPr><a:buAutoNum type="arabicPeriod"/></a:pPr>')
    slides = [
        shape("Größe", "title") + shape("eins\nzwei", "body") + shape("4", "sldNum"),
        shape("geheim", "title"),
        numbered + table,
    ]
    record = _read(read_ooxml, pptx(slides, {1: "Sprechernotiz"}, hidden=(2,)))
    assert record.text == "# Größe\n\n- eins\n- zwei\n\nKreis\n\nSprechernotiz\n\n1. erst\n2. dann\n\nbreit\t\tc\n"
    assert [(number, record.text[at:][:4]) for number, at in record.pages] == [(1, "# Gr"), (3, "1. e")]
    metadata = json.loads(record.metadata)
    assert (metadata["pages"], metadata["hidden_pages"]) == (3, [2])


def test_sheets_show_what_excel_showed() -> None:
    formats = '<numFmts><numFmt numFmtId="164" formatCode="[Red]0.00&quot;d&quot;"/>'
    formats += '<numFmt numFmtId="165" formatCode="yyyy\\-mm"/>'
    formats += '</numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/>'
    formats += '<xf numFmtId="165"/><xf numFmtId="20"/></cellXfs>'
    rows = '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="D1" t="inlineStr"><is>'
    rows += "<t>in</t></is></c></row>"
    rows += '<row r="3"><c r="A3" s="1"><v>45356</v></c><c r="B3" s="2"><v>0.30000000000000004</v></c>'
    rows += '<c r="D3" t="b"><v>1</v></c></row>'
    rows += '<row r="4"><c r="A4" s="3"><v>45356.5</v></c><c r="B4"><f>SUM(B1:B3)</f><v>7</v></c><c r="D4">'
    rows += "<f>NOW()</f></c></row>"
    rows += '<row r="5"><c r="A5" s="4"><v>0.75</v></c><c r="B5" t="e"><v>#DIV/0!</v></c></row>'
    secret = '<row><c t="inlineStr"><is><t>geheim</t></is></c></row>'
    strings = ["<t>Störung</t>", "<r><t>Öl</t></r><r><t>stand</t></r><rPh><t>オイル</t></rPh>"]
    record = _read(
        read_ooxml,
        xlsx({"Blatt": rows, "V": secret, "Zwei": secret.replace("geheim", "手册")}, strings, formats, ("V",)),
    )
    assert record.text == (
        "## Blatt\n\nStörung\tÖlstand\tin\n2024-03-05\t0.3\tTRUE\n2024-03-05 12:00:00\t7\t=NOW()\n18:00:00\t#DIV/0!\n\n"
        "## Zwei\n\n手册\n"
    )
    assert [number for number, _ in record.pages] == [1, 3]
    assert json.loads(record.metadata)["hidden_pages"] == ["V"]


def test_a_sheet_of_a_few_cells_far_apart_does_not_explode() -> None:
    rows = "".join(
        f'<row><c r="{column}{number}"><v>1</v></c></row>' for number, column in enumerate(_columns(9000), start=1)
    )
    assert _reason(read_ooxml, xlsx({"a": rows}, [])) == "unpacks to too much"


def _columns(count: int) -> list[str]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return [a + b + c for a in letters for b in letters for c in letters][:count]


ODT = """<text:tracked-changes><text:changed-region><text:p>gelöscht</text:p></text:changed-region>
</text:tracked-changes>
<text:h text:outline-level="2">Größe</text:h><text:p>viel  Raum<text:s text:c="3"/>hier<text:tab/>da<office:annotation>
<text:p>Kommentar</text:p></office:annotation><text:note><text:note-citation>1</text:note-citation>
<text:note-body><text:p>Fuß
</text:p></text:note-body></text:note></text:p><text:list text:style-name="L"><text:list-item>
<text:p>eins</text:p><text:list>
<text:list-item><text:p>tief</text:p></text:list-item></text:list></text:list-item><text:list-item><text:p>zwei</text:p>
</text:list-item></text:list><table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>
<table:covered-table-cell/><table:table-cell><text:p>手册</text:p></table:table-cell></table:table-row></table:table>
<text:p text:style-name="H">versteckt</text:p>"""
ODT_STYLES = """<text:list-style style:name="L"><text:list-level-style-number text:level="1" style:num-format="1"/>
<text:list-level-style-bullet text:level="2"/></text:list-style><style:style style:name="H"><style:text-properties
text:display="none"/></style:style>"""
ODT_TEXT = "## Größe\n\nviel Raum   hier\tda[^1]\n\n1. eins\n  - tief\n2. zwei\n\na\t\t手册\n\n[^1]: Fuß\n"


@pytest.mark.parametrize("write", [odf, flat_odf])
def test_opendocument_text_is_read_packed_and_flat(write: object) -> None:
    data = odf("text", ODT, ODT_STYLES) if write is odf else flat_odf("text", ODT, ODT_STYLES)
    record = _read(read_odf, data)
    assert record.text == ODT_TEXT
    metadata = json.loads(record.metadata)
    assert (metadata["comments"], metadata["tracked_changes"]) == (1, 1)
    assert record.media_type == "application/vnd.oasis.opendocument.text"


def test_opendocument_sheets_and_slides_are_pages() -> None:
    def sheet(name: str, style: str, text: str) -> str:
        cell = f'<table:table-cell table:number-columns-repeated="2"><text:p>{text}</text:p></table:table-cell>'
        empty = '<table:table-row table:number-rows-repeated="1048000">'
        empty += '<table:table-cell table:number-columns-repeated="16000"/>'
        row = f"<table:table-row>{cell}</table:table-row>{empty}</table:table-row>"
        return f'<table:table table:name="{name}" table:style-name="{style}">{row}</table:table>'

    hidden = '<style:style style:name="H"><style:table-properties table:display="false"/></style:style>'
    record = _read(
        read_odf, odf("spreadsheet", sheet("A", "", "Öl") + sheet("B", "H", "no") + sheet("C", "", "x"), hidden)
    )
    assert record.text == "## A\n\nÖl\tÖl\n\n## C\n\nx\tx\n"
    assert [number for number, _ in record.pages] == [1, 3]
    assert json.loads(record.metadata)["hidden_pages"] == ["B"]

    cell = '<table:table-cell table:number-columns-repeated="16000"><text:p>x</text:p></table:table-cell>'
    row = f'<table:table-row table:number-rows-repeated="1048000">{cell}</table:table-row>'
    assert _reason(read_odf, odf("spreadsheet", f"<table:table>{row}</table:table>")) == "unpacks to too much"

    slide = '<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>Titel</text:p>'
    slide += "</draw:text-box></draw:frame>"
    slide += '<draw:frame presentation:class="footer"><text:p>Fuß</text:p></draw:frame><presentation:notes>'
    slide += "<text:p>Notiz</text:p>"
    slide += "</presentation:notes></draw:page>"
    record = _read(read_odf, odf("presentation", slide * 2))
    assert record.text == "# Titel\n\nNotiz\n\n# Titel\n\nNotiz\n"
    assert [number for number, _ in record.pages] == [1, 2]


def test_a_book_is_read_in_the_order_of_its_spine() -> None:
    chapters = {
        "b.xhtml": "<html><h1>Größe</h1><p>eins</p></html>",
        "a%20a.xhtml": "<p>weg</p>",
        "c.xhtml": "<p>手册</p>",
    }
    record = _read(read_epub, epub(chapters).replace(b"a%20a.xhtml", b"a%20b.xhtml"))
    assert record.text == "# Größe\n\neins\n\n手册\n"
    assert [(number, record.text[at]) for number, at in record.pages] == [(2, "#"), (4, "手")]
    metadata = json.loads(record.metadata)
    assert (metadata["title"], metadata["author"], metadata["language"]) == ("Das Buch", "Ü. Öz", "de")
    assert metadata["left_out"] == {"damaged": [3]}


def test_a_book_with_mangled_fonts_is_read_and_a_locked_one_is_not() -> None:
    chapters = {"a.xhtml": "<p>eins</p>"}
    assert _read(read_epub, epub(chapters, "http://www.idpf.org/2008/embedding")).text == "eins\n"
    assert _reason(read_epub, epub(chapters, "http://www.w3.org/2001/04/xmlenc#aes256-cbc")) == "encrypted"


FILES: dict[str, tuple[Reader, bytes]] = {
    "docx": (read_ooxml, docx(paragraph("x"))),
    "pptx": (read_ooxml, pptx([shape("x")])),
    "xlsx": (read_ooxml, xlsx({"a": "<row><c><v>1</v></c></row>"}, [])),
    "odt": (read_odf, odf("text", "<text:p>x</text:p>")),
    "epub": (read_epub, epub({"a.xhtml": "<p>x</p>"})),
}


@pytest.mark.parametrize("name", FILES)
def test_passwords_and_damage_are_named(name: str) -> None:
    read, data = FILES[name]
    assert _read(read, data).text.strip().endswith(("x", "1"))
    assert _reason(read, with_password(data)) == "encrypted"
    assert _reason(read, data[: len(data) // 2]) == "damaged"
    assert _reason(read, b"PK\x03\x04" + bytes(100)) == "damaged"


def test_an_encrypted_opendocument_file_is_named() -> None:
    assert _reason(read_odf, odf("text", "\x80", encrypted=True)) == "encrypted"


@pytest.mark.parametrize(
    ("streams", "reason", "detail"),
    [
        ([("EncryptionInfo", b""), ("EncryptedPackage", b"")], "encrypted", "password"),
        ([("WordDocument", bytes(10) + b"\0\0")], "unsupported", ".docx"),
        ([("WordDocument", bytes(10) + b"\0\1")], "encrypted", "password"),
        ([("Workbook", bytes.fromhex("0908100000060500") + bytes(12))], "unsupported", ".xlsx"),
        ([("Workbook", bytes.fromhex("09080400000605002f000600"))], "encrypted", "password"),
        ([("PowerPoint Document", b"")], "unsupported", ".pptx"),
        ([("Anything", b"")], "unsupported", "unknown"),
    ],
)
def test_old_office_files_are_refused_by_name(streams: list[tuple[str, bytes]], reason: str, detail: str) -> None:
    (refused,) = read_compound(compound(*streams), RULES)
    assert isinstance(refused, Refused)
    assert refused.reason == reason
    assert detail in refused.detail


def test_xml_that_declares_entities_or_nests_without_end_is_no_way_in() -> None:
    lol = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    flat = flat_odf("text", "<text:p>&b;</text:p>")
    assert _reason(read_odf, lol.encode() + flat) == "damaged"
    outside = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + flat.replace(b"&b;", b"&a;")
    assert _reason(read_odf, outside) == "damaged"
    deep = docx("<w:tbl><w:tr><w:tc>" * 20_000 + paragraph("tief") + "</w:tc></w:tr></w:tbl>" * 20_000)
    assert _read(read_ooxml, deep).text == "tief\n"


def test_what_unpacks_to_too_much_is_refused() -> None:
    data = docx(paragraph("x" * 5_000_000))
    (record,) = read_ooxml(data, ReadingRules(max_unpacked_bytes=1_000_000))
    assert isinstance(record, Refused)
    assert record.reason == "unpacks to too much"


def test_a_wrong_checksum_is_damage() -> None:
    data = package({"mimetype": "application/vnd.oasis.opendocument.text"})
    with zipfile.ZipFile(BytesIO(data)) as file:
        assert file.namelist() == ["mimetype"]
    whole = odf("text", ODT, ODT_STYLES)
    at = whole.index(b"PK\x01\x02", whole.index(b"PK\x01\x02") + 4)
    at = whole.index(b"content.xml", at) - 46 + 16
    assert _reason(read_odf, whole[:at] + b"\0\0\0\0" + whole[at + 4 :]) == "damaged"
