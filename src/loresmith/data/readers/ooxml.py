"""Word, PowerPoint and Excel files since 2007 (ISO/IEC 29500): the package, and which of the three it is."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loresmith.data.readers.record import ReadingRules, Record, metadata_json
from loresmith.data.readers.refusal import NoDocumentError, whole_document
from loresmith.data.readers.zip_package import ZipPackage

_TRANSITIONAL = "http://schemas.openxmlformats.org"
_STRICT = "http://purl.oclc.org/ooxml"
PREFIXES = {
    f"{_TRANSITIONAL}/package/2006/relationships": "rel",
    f"{_TRANSITIONAL}/package/2006/content-types": "ct",
    f"{_TRANSITIONAL}/markup-compatibility/2006": "mc",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    f"{_TRANSITIONAL}/wordprocessingml/2006/main": "w",
    f"{_TRANSITIONAL}/presentationml/2006/main": "p",
    f"{_TRANSITIONAL}/spreadsheetml/2006/main": "x",
    f"{_TRANSITIONAL}/drawingml/2006/main": "a",
    f"{_TRANSITIONAL}/officeDocument/2006/math": "m",
    f"{_TRANSITIONAL}/officeDocument/2006/relationships": "r",
    f"{_STRICT}/wordprocessingml/main": "w",
    f"{_STRICT}/presentationml/main": "p",
    f"{_STRICT}/spreadsheetml/main": "x",
    f"{_STRICT}/drawingml/main": "a",
    f"{_STRICT}/officeDocument/math": "m",
    f"{_STRICT}/officeDocument/relationships": "r",
}
"""Prefixes of the namespaces that readers look at, in the transitional and in the strict form of the standard."""

_FAMILIES = {  # templates, shows and documents with macros have media types of their own
    "wordprocessingml": "docx",
    "ms-word": "docx",
    "presentationml": "pptx",
    "ms-powerpoint": "pptx",
    "spreadsheetml": "xlsx",
    "ms-excel": "xlsx",
}
_KINDS = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass(frozen=True)
class Relation:
    """From one part to another: `kind` is the last word of its type, such as `styles`."""

    id: str
    kind: str
    target: str


class OfficePackage(ZipPackage):
    """A package with its relations; `main` is the part that a document begins with, `kind` docx, pptx or xlsx."""

    def __init__(self, data: bytes, rules: ReadingRules) -> None:
        super().__init__(data, rules)
        mains = [relation.target for relation in self.relations("") if relation.kind == "officeDocument"]
        if not mains:
            raise NoDocumentError("damaged", "no part of it is the document")
        self.main = mains[0]
        types = _ContentTypes()
        self.parse("[Content_Types].xml", types, PREFIXES)
        extension = self.main.rpartition(".")[2]
        main_type = types.by_part.get(f"/{self.main}".lower()) or types.by_extension.get(extension, "")
        if "binary" in main_type:
            raise NoDocumentError("unsupported", "a binary workbook (.xlsb); saved as .xlsx it can be read")
        self.kind = next((kind for word, kind in _FAMILIES.items() if word in main_type), "")
        if not self.kind:
            raise NoDocumentError("unsupported", "an Office package with nothing known in it")

    def relations(self, part: str) -> list[Relation]:
        """Where a part points to within the package; of the package itself for an empty name."""
        folder, name = posixpath.split(part)
        path = posixpath.join(folder, "_rels", f"{name}.rels")
        if path not in self:
            return []
        events = _Relations(folder)
        self.parse(path, events, PREFIXES)
        return events.found

    def related(self, part: str, kind: str) -> str | None:
        """The first part of a kind that a part points to, if the package has it."""
        targets = (relation.target for relation in self.relations(part) if relation.kind == kind)
        return next((target for target in targets if target in self), None)

    def properties(self) -> dict[str, Any]:
        """Title, author, language and times, as far as the document says them."""
        part = self.related("", "core-properties")
        events = _CoreProperties()
        if part:
            self.parse(part, events, PREFIXES)
        return {key: value for key, value in events.found.items() if value}


@whole_document
def read_ooxml(data: bytes, rules: ReadingRules) -> Record:
    """The document; which kind it is its content says, whatever its name."""
    package = OfficePackage(data, rules)
    if package.kind == "docx":
        from loresmith.data.readers.docx import document
    elif package.kind == "pptx":
        from loresmith.data.readers.pptx import document
    else:
        from loresmith.data.readers.xlsx import document
    blocks, metadata = document(package)
    return Record(
        blocks.finish(),
        len(data),
        metadata=metadata_json(package.properties() | metadata),
        pages=blocks.pages,
        media_type=_KINDS[package.kind],
    )


class _ContentTypes:
    def __init__(self) -> None:
        self.by_part: dict[str, str] = {}
        self.by_extension: dict[str, str] = {}

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "ct:Override":
            self.by_part[attributes.get("PartName", "").lower()] = attributes.get("ContentType", "")
        elif tag == "ct:Default":
            self.by_extension[attributes.get("Extension", "")] = attributes.get("ContentType", "")

    def end(self, tag: str) -> None: ...
    def text(self, text: str) -> None: ...


class _Relations:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.found: list[Relation] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "rel:Relationship" and attributes.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", self._folder, attributes.get("Target", ""))).lstrip("/")
            kind = attributes.get("Type", "").rpartition("/")[2]
            self.found.append(Relation(attributes.get("Id", ""), kind, target))

    def end(self, tag: str) -> None: ...
    def text(self, text: str) -> None: ...


class _CoreProperties:
    _NAMES: Mapping[str, str] = {
        "dc:title": "title",
        "dc:creator": "author",
        "dc:language": "language",
        "dcterms:created": "created",
        "dcterms:modified": "modified",
    }

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._name = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._name = self._NAMES.get(tag, "")

    def end(self, tag: str) -> None:
        self._name = ""

    def text(self, text: str) -> None:
        if self._name:
            self.found[self._name] = self.found.get(self._name, "") + text
