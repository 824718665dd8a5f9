"""Word, PowerPoint, Excel, OpenDocument, RTF and EPUB files written with the standard library alone."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from manual_chapters import Chapter

_OFFICE = "http://schemas.openxmlformats.org"
_RELATIONS = f"{_OFFICE}/package/2006/relationships"
_TYPE = f"{_OFFICE}/officeDocument/2006/relationships"
_W = f'xmlns:w="{_OFFICE}/wordprocessingml/2006/main"'
_P = f'xmlns:p="{_OFFICE}/presentationml/2006/main" xmlns:a="{_OFFICE}/drawingml/2006/main" xmlns:r="{_TYPE}"'
_X = f'xmlns="{_OFFICE}/spreadsheetml/2006/main" xmlns:r="{_TYPE}"'
_CORE = f'xmlns:cp="{_OFFICE}/package/2006/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/"'
_OASIS = "urn:oasis:names:tc:opendocument:xmlns"


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    """A zip file; a part named `mimetype` is not packed, as OpenDocument and EPUB want it."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
        for name, part in parts.items():
            how = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            file.writestr(zipfile.ZipInfo(name, (2026, 3, 2, 9, 0, 0)), part, how)
    return held.getvalue()


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    entries = "".join(
        f'<Relationship Id="{id_}" Type="{_TYPE}/{kind}" Target="{target}"/>' for id_, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_RELATIONS}">{entries}</Relationships>'


def _office(main: str, family: str, title: str, parts: Mapping[str, str]) -> bytes:
    kind = f"application/vnd.openxmlformats-officedocument.{family}.main+xml"
    types = f'<Types xmlns="{_OFFICE}/package/2006/content-types">'
    types += f'<Override PartName="/{main}" ContentType="{kind}"/></Types>'
    core = f"<cp:coreProperties {_CORE}><dc:title>{escape(title)}</dc:title></cp:coreProperties>"
    first = _relations({"a": ("officeDocument", main), "b": ("core-properties", "docProps/core.xml")})
    return zipped({"[Content_Types].xml": types, "_rels/.rels": first, "docProps/core.xml": core, **parts})


def docx(chapters: Sequence[Chapter], table: Sequence[Sequence[str]], header: str, title: str) -> bytes:
    """A Word document: headings, paragraphs, numbered steps, and a table in the end."""
    body = ""
    for chapter in chapters:
        body += _paragraph(chapter.title, '<w:pStyle w:val="Heading1"/>')
        body += "".join(map(_paragraph, chapter.paragraphs))
        listed = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'
        body += "".join(_paragraph(step, listed) for step in chapter.steps)
    rows = "".join("<w:tr>" + "".join(f"<w:tc>{_paragraph(cell)}</w:tc>" for cell in row) + "</w:tr>" for row in table)
    body += f"<w:tbl>{rows}</w:tbl>"
    style = '<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/>'
    style += '<w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style>'
    level = '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>'
    numbering = f'<w:abstractNum w:abstractNumId="0">{level}</w:abstractNum>'
    numbering += '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    parts = {
        "word/document.xml": f"<w:document {_W}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {_W}>{style}</w:styles>",
        "word/numbering.xml": f"<w:numbering {_W}>{numbering}</w:numbering>",
        "word/header1.xml": f"<w:hdr {_W}>{_paragraph(header)}</w:hdr>",
    }
    targets = {name: (name.rstrip("1"), f"{name}.xml") for name in ("styles", "numbering", "header1")}
    parts["word/_rels/document.xml.rels"] = _relations(targets)
    return _office("word/document.xml", "wordprocessingml.document", title, parts)


def _paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{escape(text)}</w:t></w:r></w:p>"


def pptx(slides: Sequence[tuple[str, Sequence[str], str]], title: str) -> bytes:
    """A presentation: of each slide the title, the points, and what the speaker says."""
    parts: dict[str, str] = {}
    targets, show = {}, ""
    for number, (heading, points, notes) in enumerate(slides, start=1):
        shapes = _shape([heading], "title") + _shape(points, "body") + _shape([str(number)], "sldNum")
        slide = f"<p:cSld><p:spTree>{shapes}</p:spTree></p:cSld>"
        parts[f"ppt/slides/slide{number}.xml"] = f"<p:sld {_P}>{slide}</p:sld>"
        beside = {"n": ("notesSlide", f"../notesSlides/notesSlide{number}.xml")}
        parts[f"ppt/slides/_rels/slide{number}.xml.rels"] = _relations(beside)
        said = f"<p:cSld><p:spTree>{_shape([notes], 'body')}</p:spTree></p:cSld>"
        parts[f"ppt/notesSlides/notesSlide{number}.xml"] = f"<p:notes {_P}>{said}</p:notes>"
        targets[f"s{number}"] = ("slide", f"slides/slide{number}.xml")
        show += f'<p:sldId id="{255 + number}" r:id="s{number}"/>'
    parts["ppt/presentation.xml"] = f"<p:presentation {_P}><p:sldIdLst>{show}</p:sldIdLst></p:presentation>"
    parts["ppt/_rels/presentation.xml.rels"] = _relations(targets)
    return _office("ppt/presentation.xml", "presentationml.presentation", title, parts)


def _shape(lines: Sequence[str], kind: str) -> str:
    text = "".join(f"<a:p><a:r><a:t>{escape(line)}</a:t></a:r></a:p>" for line in lines)
    return f'<p:sp><p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr><p:txBody>{text}</p:txBody></p:sp>'


def xlsx(sheets: Mapping[str, Sequence[Sequence[str | int | float]]], title: str) -> bytes:
    """A workbook; the sheets' first rows are their headings."""
    parts: dict[str, str] = {}
    book, targets = "", {}
    for number, (name, rows) in enumerate(sheets.items(), start=1):
        held = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
        parts[f"xl/worksheets/sheet{number}.xml"] = f"<worksheet {_X}><sheetData>{held}</sheetData></worksheet>"
        targets[f"s{number}"] = ("worksheet", f"worksheets/sheet{number}.xml")
        book += f'<sheet name="{escape(name)}" sheetId="{number}" r:id="s{number}"/>'
    parts["xl/workbook.xml"] = f"<workbook {_X}><sheets>{book}</sheets></workbook>"
    parts["xl/_rels/workbook.xml.rels"] = _relations(targets)
    return _office("xl/workbook.xml", "spreadsheetml.sheet", title, parts)


def _cell(value: str | int | float) -> str:
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f"<c><v>{value}</v></c>"


def odt(chapters: Sequence[Chapter], title: str) -> bytes:
    """An OpenDocument text."""
    body = ""
    for chapter in chapters:
        body += f'<text:h text:outline-level="1">{escape(chapter.title)}</text:h>'
        body += "".join(f"<text:p>{escape(paragraph)}</text:p>" for paragraph in chapter.paragraphs)
        items = "".join(f"<text:list-item><text:p>{escape(step)}</text:p></text:list-item>" for step in chapter.steps)
        body += f"<text:list>{items}</text:list>" if items else ""
    spaces = f'xmlns:office="{_OASIS}:office:1.0" xmlns:text="{_OASIS}:text:1.0"'
    content = f"<office:document-content {spaces}><office:body><office:text>{body}</office:text></office:body>"
    meta = f'<dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">{escape(title)}</dc:title>'
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"{content}</office:document-content>",
            "meta.xml": f"<office:document-meta {spaces}><office:meta>{meta}</office:meta></office:document-meta>",
            "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{_OASIS}:manifest:1.0"/>',
        }
    )


def rtf(title: str, paragraphs: Sequence[str], footer: str) -> bytes:
    """An RTF document in Windows' Western code page."""
    body = "".join(f"{_rtf(paragraph)}\\par\\par\n" for paragraph in paragraphs)
    head = f"{{\\rtf1\\ansi\\ansicpg1252\\deff0{{\\fonttbl{{\\f0 Arial;}}}}{{\\info{{\\title {_rtf(title)}}}}}"
    return f"{head}{{\\footer {_rtf(footer)}\\par}}\n{{\\b\\fs32 {_rtf(title)}}}\\par\\par\n{body}}}".encode("ascii")


def _rtf(text: str) -> str:
    return "".join(
        f"\\{letter}" if letter in "\\{}" else letter if letter < "\x80" else f"\\'{letter.encode('cp1252').hex()}"
        for letter in text
    )


def epub(chapters: Sequence[tuple[str, str]], title: str, author: str) -> bytes:
    """A book in XHTML."""
    items = "".join(
        f'<item id="c{at}" href="c{at}.xhtml" media-type="application/xhtml+xml"/>' for at in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{at}"/>' for at in range(len(chapters)))
    told = f"<dc:title>{escape(title)}</dc:title><dc:creator>{escape(author)}</dc:creator><dc:language>en</dc:language>"
    opf = '<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
    opf += f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">{told}</metadata>'
    opf += f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    root = '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/>'
    container = f'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>{root}</rootfiles>'
    pages = {
        f"c{at}.xhtml": f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{escape(heading)}</title></head>'
        f"<body><h1>{escape(heading)}</h1><p>{escape(text)}</p></body></html>"
        for at, (heading, text) in enumerate(chapters)
    }
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": f"{container}</container>",
            "book.opf": opf,
            **pages,
        }
    )
