"""OpenDocument texts, sheets and slides (ISO/IEC 26300), as packages or as one flat XML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loresmith.data.readers.odf_story import PREFIXES, Story
from loresmith.data.readers.odf_styles import Styles
from loresmith.data.readers.record import ReadingRules, Record, metadata_json
from loresmith.data.readers.refusal import NoDocumentError, whole_document
from loresmith.data.readers.xml_events import parse_xml
from loresmith.data.readers.zip_package import ZipPackage

_MEDIA_TYPE = "application/vnd.oasis.opendocument."


@whole_document
def read_odf(data: bytes, rules: ReadingRules) -> Record:
    """The document; sheets and slides are its pages. Hidden ones are left out and named."""
    styles, properties = Styles(), _Properties()
    if data.startswith(b"PK"):
        package = ZipPackage(data, rules)
        if "META-INF/manifest.xml" in package:
            manifest = _Manifest()
            package.parse("META-INF/manifest.xml", manifest, PREFIXES)
            if manifest.encrypted:
                raise NoDocumentError("encrypted", "it needs a password")
        for name, events in (("styles.xml", styles), ("content.xml", styles), ("meta.xml", properties)):
            if name in package or name == "content.xml":
                package.parse(name, events, PREFIXES)
        story = Story(styles)
        package.parse("content.xml", story, PREFIXES)
    else:
        for flat in (styles, properties):
            parse_xml([data], flat, PREFIXES)
        story = Story(styles)
        parse_xml([data], story, PREFIXES)
    if not story.kind:
        raise NoDocumentError("unsupported", "an OpenDocument file that is no text, sheet or slides")
    text = story.finish()
    metadata: dict[str, Any] = properties.found | story.counts
    media_type = _MEDIA_TYPE + story.kind
    return Record(text, len(data), metadata=metadata_json(metadata), pages=story.blocks.pages, media_type=media_type)


class _Manifest:
    encrypted = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.encrypted |= tag == "manifest:encryption-data"

    def end(self, tag: str) -> None: ...
    def text(self, text: str) -> None: ...


class _Properties:
    _NAMES: Mapping[str, str] = {
        "dc:title": "title",
        "meta:initial-creator": "author",
        "dc:language": "language",
        "meta:creation-date": "created",
        "dc:date": "modified",
    }

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._name = ""
        self._in_meta = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._in_meta |= tag == "office:meta"
        self._name = self._NAMES.get(tag, "") if self._in_meta else ""

    def end(self, tag: str) -> None:
        self._in_meta &= tag != "office:meta"
        self._name = ""

    def text(self, text: str) -> None:
        if self._name:
            self.found[self._name] = self.found.get(self._name, "") + text
