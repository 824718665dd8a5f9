"""EPUB 2 and 3: the chapters in the order of reading, each read as the web page that it is."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from urllib.parse import unquote

from loresmith.data.readers.html import read_html
from loresmith.data.readers.record import ReadingRules, Record, metadata_json
from loresmith.data.readers.refusal import NoDocumentError, whole_document
from loresmith.data.readers.zip_package import ZipPackage

_PREFIXES = {
    "urn:oasis:names:tc:opendocument:xmlns:container": "container",
    "http://www.idpf.org/2007/opf": "opf",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://www.w3.org/2001/04/xmlenc#": "enc",
}
_PAGES = {"application/xhtml+xml", "text/html"}
# Fonts are mangled so that they are not simply copied; texts stay readable.
_MANGLED = {"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"}


@whole_document
def read_epub(data: bytes, rules: ReadingRules) -> Record:
    """The book's text; `pages` are the chapters, as its spine has them. Its table of contents is left out."""
    package = ZipPackage(data, rules)
    if "META-INF/encryption.xml" in package:
        encryption = _Encryption()
        package.parse("META-INF/encryption.xml", encryption, _PREFIXES)
        if encryption.methods - _MANGLED:
            raise NoDocumentError("encrypted", "its chapters are locked")
    container = _Container()
    package.parse("META-INF/container.xml", container, _PREFIXES)
    book = _Book()
    package.parse(container.root, book, _PREFIXES)
    folder = posixpath.dirname(container.root)
    parts: list[str] = []
    pages: list[tuple[int, int]] = []
    length, missing = 0, []
    for number, id_ in enumerate(book.spine, start=1):
        href, media_type, properties = book.items.get(id_, ("", "", ""))
        if media_type not in _PAGES or "nav" in properties.split():
            continue
        name = posixpath.normpath(posixpath.join(folder, unquote(href.partition("#")[0])))
        if name not in package:
            missing.append(number)
            continue
        (chapter,) = read_html(package.read(name), rules)
        if isinstance(chapter, Record) and chapter.text:
            pages.append((number, length))
            parts.append(chapter.text)
            length += len(chapter.text) + 1
        elif not isinstance(chapter, Record):
            missing.append(number)
    metadata = book.properties | {"pages": len(book.spine)} | ({"left_out": {"damaged": missing}} if missing else {})
    return Record("\n".join(parts), len(data), metadata=metadata_json(metadata), pages=tuple(pages))


class _Container:
    def __init__(self) -> None:
        self.root = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "container:rootfile" and not self.root:
            self.root = attributes.get("full-path", "")

    def end(self, tag: str) -> None: ...
    def text(self, text: str) -> None: ...


class _Encryption:
    def __init__(self) -> None:
        self.methods: set[str] = set()

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "enc:EncryptionMethod":
            self.methods.add(attributes.get("Algorithm", ""))

    def end(self, tag: str) -> None: ...
    def text(self, text: str) -> None: ...


class _Book:
    _NAMES: Mapping[str, str] = {
        "dc:title": "title",
        "dc:creator": "author",
        "dc:language": "language",
        "dc:date": "created",
    }

    def __init__(self) -> None:
        self.items: dict[str, tuple[str, str, str]] = {}
        self.spine: list[str] = []
        self.properties: dict[str, str | int] = {}
        self._name = ""
        self._parts: list[str] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "opf:item":
            told = [attributes.get(name, "") for name in ("id", "href", "media-type", "properties")]
            self.items[told[0]] = (told[1], told[2], told[3])
        elif tag == "opf:itemref":
            self.spine.append(attributes.get("idref", ""))
        self._name, self._parts = self._NAMES.get(tag, ""), []

    def end(self, tag: str) -> None:
        told = " ".join("".join(self._parts).split())
        if self._name and told:
            self.properties.setdefault(self._name, told)
        self._name = ""

    def text(self, text: str) -> None:
        if self._name:
            self._parts.append(text)
