"""Office documents, OpenDocument files and books written by hand, with the standard library alone."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from xml.sax.saxutils import escape

_OFFICE = "http://schemas.openxmlformats.org"
_RELATIONS = f"{_OFFICE}/package/2006/relationships"
_TYPE = f"{_OFFICE}/officeDocument/2006/relationships"
_W = f'xmlns:w="{_OFFICE}/wordprocessingml/2006/main" xmlns:m="{_OFFICE}/officeDocument/2006/math"'
_W += f' xmlns:mc="{_OFFICE}/markup-compatibility/2006"'
_P = f'xmlns:p="{_OFFICE}/presentationml/2006/main" xmlns:a="{_OFFICE}/drawingml/2006/main" xmlns:r="{_TYPE}"'
_X = f'xmlns="{_OFFICE}/spreadsheetml/2006/main" xmlns:r="{_TYPE}"'
_CORE = f'xmlns:cp="{_OFFICE}/package/2006/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/"'
_OASIS = "urn:oasis:names:tc:opendocument:xmlns"
_ODF = " ".join(
    f'xmlns:{prefix}="{_OASIS}:{name}:1.0"'
    for prefix, name in {
        "office": "office",
        "text": "text",
        "table": "table",
        "style": "style",
        "draw": "drawing",
        "presentation": "presentation",
        "meta": "meta",
    }.items()
)


def package(parts: Mapping[str, str | bytes]) -> bytes:
    """A zip file; a part named `mimetype` comes first and is not packed."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(parts, key=lambda name: name != "mimetype"):
            how = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            file.writestr(zipfile.ZipInfo(name), parts[name], how)
    return held.getvalue()


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    entries = "".join(
        f'<Relationship Id="{id_}" Type="{_TYPE}/{kind}" Target="{target}"/>' for id_, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_RELATIONS}">{entries}</Relationships>'


def _office(main: str, family: str, parts: Mapping[str, str | bytes], title: str) -> bytes:
    types = f'<Types xmlns="{_OFFICE}/package/2006/content-types"><Override PartName="/{main}" ContentType='
    types += f'"application/vnd.openxmlformats-officedocument.{family}.main+xml"/></Types>'
    core = f"<dc:title>{escape(title)}</dc:title><dc:creator>Ü. Öz</dc:creator>"
    core = f"<cp:coreProperties {_CORE}>{core}</cp:coreProperties>"
    first = {"a": ("officeDocument", main), "b": ("core-properties", "docProps/core.xml")}
    base = {"[Content_Types].xml": types, "_rels/.rels": _relations(first), "docProps/core.xml": core}
    return package(base | dict(parts))


def docx(body: str, styles: str = "", numbering: str = "", footnotes: str = "", comments: str = "") -> bytes:
    """A Word document of these pieces of WordprocessingML."""
    pieces = {"styles": styles, "numbering": numbering, "footnotes": footnotes, "comments": comments}
    parts: dict[str, str | bytes] = {
        f"word/{name}.xml": f"<w:{name} {_W}>{piece}</w:{name}>" for name, piece in pieces.items() if piece
    }
    parts["word/document.xml"] = f"<w:document {_W}><w:body>{body}</w:body></w:document>"
    targets = {f"r{at}": (name, f"{name}.xml") for at, name in enumerate(pieces) if pieces[name]}
    parts["word/_rels/document.xml.rels"] = _relations(targets)
    return _office("word/document.xml", "wordprocessingml.document", parts, "Wartung")


def paragraph(text: str, properties: str = "") -> str:
    """A paragraph of one run."""
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{escape(text)}</w:t></w:r></w:p>"


def pptx(slides: list[str], notes: Mapping[int, str] | None = None, hidden: tuple[int, ...] = ()) -> bytes:
    """A presentation of slides in PresentationML (what is in `p:spTree`); those with notes have a diagram, too."""
    parts: dict[str, str | bytes] = {}
    show = ""
    targets = {}
    # The parts' numbers run against the order of the slides: the presentation says which comes first.
    for number, slide in enumerate(slides, start=1):
        file = f"slide{len(slides) + 1 - number}.xml"
        hide = ' show="0"' if number in hidden else ""
        parts[f"ppt/slides/{file}"] = f"<p:sld {_P}{hide}><p:cSld><p:spTree>{slide}</p:spTree></p:cSld></p:sld>"
        targets[f"s{number}"] = ("slide", f"slides/{file}")
        show += f'<p:sldId id="{255 + number}" r:id="s{number}"/>'
        if notes and number in notes:
            beside = {"d": ("diagramData", "../d.xml"), "n": ("notesSlide", f"../notesSlides/n{number}.xml")}
            parts[f"ppt/slides/_rels/{file}.rels"] = _relations(beside)
            parts["ppt/d.xml"] = (
                f"<dgm:dataModel xmlns:dgm='d' {_P}><a:p><a:r><a:t>Kreis</a:t></a:r></a:p></dgm:dataModel>"
            )
            said = shape(notes[number], "body") + shape("7", "sldNum")
            parts[f"ppt/notesSlides/n{number}.xml"] = f"<p:notes {_P}><p:cSld>{said}</p:cSld></p:notes>"
    parts["ppt/presentation.xml"] = f"<p:presentation {_P}><p:sldIdLst>{show}</p:sldIdLst></p:presentation>"
    parts["ppt/_rels/presentation.xml.rels"] = _relations(targets)
    return _office("ppt/presentation.xml", "presentationml.presentation", parts, "Vortrag")


def shape(text: str, kind: str = "", properties: str = "") -> str:
    """A shape with a paragraph for each line; `kind` is its placeholder's type."""
    placeholder = f'<p:nvPr><p:ph type="{kind}"/></p:nvPr>' if kind else ""
    lines = "".join(f"<a:p>{properties}<a:r><a:t>{escape(line)}</a:t></a:r></a:p>" for line in text.split("\n"))
    return f"<p:sp>{placeholder}<p:txBody>{lines}</p:txBody></p:sp>"


def xlsx(sheets: Mapping[str, str], strings: list[str], formats: str = "", hidden: tuple[str, ...] = ()) -> bytes:
    """A workbook of sheets in SpreadsheetML (what is in `sheetData`)."""
    parts: dict[str, str | bytes] = {}
    book, targets = "", {"t": ("sharedStrings", "sharedStrings.xml"), "f": ("styles", "styles.xml")}
    for number, (name, rows) in enumerate(sheets.items(), start=1):
        state = ' state="hidden"' if name in hidden else ""
        book += f'<sheet name="{escape(name)}" sheetId="{number}" r:id="s{number}"{state}/>'
        targets[f"s{number}"] = ("worksheet", f"/xl/worksheets/sheet{number}.xml")
        parts[f"xl/worksheets/sheet{number}.xml"] = f"<worksheet {_X}><sheetData>{rows}</sheetData></worksheet>"
    items = "".join(f"<si>{text}</si>" for text in strings)
    parts["xl/workbook.xml"] = f"<workbook {_X}><sheets>{book}</sheets></workbook>"
    parts["xl/sharedStrings.xml"] = f"<sst {_X}>{items}</sst>"
    parts["xl/styles.xml"] = f"<styleSheet {_X}>{formats}</styleSheet>"
    parts["xl/_rels/workbook.xml.rels"] = _relations(targets)
    return _office("xl/workbook.xml", "spreadsheetml.sheet", parts, "Liste")


def odf(kind: str, body: str, styles: str = "", encrypted: bool = False) -> bytes:
    """An OpenDocument file; `kind` is text, spreadsheet or presentation."""
    entry = f"<manifest:file-entry>{'<manifest:encryption-data/>' if encrypted else ''}</manifest:file-entry>"
    space = f'xmlns:manifest="{_OASIS}:manifest:1.0"'
    meta = '<dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">Prüfbuch</dc:title>'
    return package(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "META-INF/manifest.xml": f"<manifest:manifest {space}>{entry}</manifest:manifest>",
            "content.xml": f"<office:document-content {_ODF}>{flat_body(kind, body, styles)}</office:document-content>",
            "meta.xml": f"<office:document-meta {_ODF}><office:meta>{meta}</office:meta></office:document-meta>",
        }
    )


def flat_body(kind: str, body: str, styles: str) -> str:
    """What a flat file and a package's content share."""
    styles = f"<office:automatic-styles>{styles}</office:automatic-styles>"
    return f"{styles}<office:body><office:{kind}>{body}</office:{kind}></office:body>"


def flat_odf(kind: str, body: str, styles: str = "") -> bytes:
    """The same as one XML file."""
    return f"<office:document {_ODF}>{flat_body(kind, body, styles)}</office:document>".encode()


def epub(chapters: Mapping[str, str], encryption: str = "") -> bytes:
    """A book of chapters in XHTML, with a table of contents in its spine."""
    items = "".join(
        f'<item id="i{at}" href="{name}" media-type="application/xhtml+xml"/>' for at, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="i{at}"/>' for at in range(len(chapters)))
    opf = '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
    opf += "<dc:title>Das Buch</dc:title><dc:creator>Ü. Öz</dc:creator><dc:language>de</dc:language></metadata>"
    nav = '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    opf += f"<manifest>{nav}{items}</manifest>"
    opf += f'<spine><itemref idref="nav"/>{spine}</spine></package>'
    container = '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    container += '<rootfile full-path="OEBPS/a.opf"/></rootfiles></container>'
    parts: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": container,
        "OEBPS/a.opf": opf,
        "OEBPS/nav.xhtml": "<html><body>Inhalt</body></html>",
    }
    if encryption:
        method = f'<enc:EncryptionMethod Algorithm="{encryption}"/>'
        data = f'<enc:EncryptedData xmlns:enc="http://www.w3.org/2001/04/xmlenc#">{method}</enc:EncryptedData>'
        parts["META-INF/encryption.xml"] = (
            f'<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container">{data}</encryption>'
        )
    return package(parts | {f"OEBPS/{name}": text for name, text in chapters.items()})


def with_password(data: bytes) -> bytes:
    """A zip file whose members say that they are encrypted."""
    held = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = held.find(signature)
        while at >= 0:
            held[at + offset] |= 1
            at = held.find(signature, at + 4)
    return bytes(held)


def compound(*streams: tuple[str, bytes]) -> bytes:
    """A compound file ([MS-CFB]) of a few streams, each of at most a sector's worth, padded to the least size."""
    sectors: list[bytes] = []
    entries = [_entry("Root Entry", 5, 0xFFFFFFFE, 0, child=1)]
    chains: list[int] = []
    for at, (name, content) in enumerate(streams, start=1):
        start = len(sectors)
        padded = content.ljust(4096, b"\0")
        sectors += [padded[offset : offset + 512] for offset in range(0, 4096, 512)]
        chains += [*range(start + 1, start + 8), 0xFFFFFFFE]
        right = at + 1 if at < len(streams) else 0xFFFFFFFF
        entries.append(_entry(name, 2, start, 4096, right=right))
    entries += [bytes(68) + b"\xff" * 12 + bytes(48)] * (-len(entries) % 4)
    directory = len(sectors)
    held = b"".join(entries)
    for offset in range(0, len(held), 512):
        sectors.append(held[offset : offset + 512])
        chains.append(len(sectors) if offset + 512 < len(held) else 0xFFFFFFFE)
    table = len(sectors)
    chains.append(0xFFFFFFFD)
    sectors.append(b"".join(number.to_bytes(4, "little") for number in chains).ljust(512, b"\xff"))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + bytes.fromhex("3e000300feff09000600") + bytes(10)
    numbers = (1, directory, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0, table)
    header += b"".join(number.to_bytes(4, "little") for number in numbers)
    return header.ljust(512, b"\xff") + b"".join(sectors)


def _entry(name: str, kind: int, start: int, size: int, child: int = 0xFFFFFFFF, right: int = 0xFFFFFFFF) -> bytes:
    wide = name.encode("utf-16-le") + b"\0\0"
    links = b"\xff\xff\xff\xff" + right.to_bytes(4, "little") + child.to_bytes(4, "little")
    place = start.to_bytes(4, "little") + size.to_bytes(8, "little")
    return wide.ljust(64, b"\0") + len(wide).to_bytes(2, "little") + bytes([kind, 1]) + links + bytes(36) + place
