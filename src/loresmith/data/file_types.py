"""What kind of file this is and who reads it: from how its content begins first, from its name second.

A name is a claim and a signature is a fact: a `.pdf` that is a web page is read as one, and a file without an
extension that begins with `%PDF-` is a PDF. Where a content has no signature, as text has none, the name decides.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import cast

from loresmith.data.file_content import content_of, is_binary, looks_like_html, looks_like_mailbox
from loresmith.data.readers.record import Reader
from loresmith.data.readers.source_language import source_language

HEAD_BYTES = 8192
"""How much of the beginning of a file `file_type` wants to see."""


@dataclass(frozen=True)
class FileType:
    """A kind of file.

    Attributes:
        media_type: as registered with IANA where it is.
        reader: `module:function` below `loresmith.data.readers`.
        extensions: of names, lower case, divided by spaces; an extension belongs to one type.
        content: what `content_of` calls such a file; empty where it has no signature.
        binary: whether its reader takes bytes that are no text.
        language: of its text; empty when that is not known.
    """

    media_type: str
    reader: str
    extensions: str = ""
    content: str = ""
    binary: bool = False
    language: str = ""

    @property
    def read(self) -> Reader:
        """The reader; imported when it is first wanted, since some load large libraries."""
        module, _, function = self.reader.partition(":")
        return cast(Reader, getattr(import_module(f"loresmith.data.readers.{module}"), function))


_OOXML = "application/vnd.openxmlformats-officedocument"
_ODF = "application/vnd.oasis.opendocument"
_binary = partial(FileType, binary=True)
_TEXT = FileType("text/plain", "text:read_text", ".txt .text")
_HTML = FileType("text/html", "html:read_html", ".html .htm .xhtml")
_MAILBOX = FileType("application/mbox", "mbox:read_mbox", ".mbox .mbx", binary=True)
_SOURCE = FileType("", "source_code:read_source_code")
_UNKNOWN = FileType("application/octet-stream", "unknown:read_unknown")
_TYPES = (
    _TEXT,
    _HTML,
    FileType("text/markdown", "markdown:read_markdown", ".md .markdown"),
    FileType("application/jsonl", "jsonl:read_jsonl", ".jsonl .ndjson"),
    _binary("application/pdf", "pdf:read_pdf", ".pdf", "pdf"),
    _binary(f"{_OOXML}.wordprocessingml.document", "ooxml:read_ooxml", ".docx .docm .dotx .dotm", "zip/docx"),
    _binary(
        f"{_OOXML}.presentationml.presentation", "ooxml:read_ooxml", ".pptx .pptm .potx .potm .ppsx .ppsm", "zip/pptx"
    ),
    _binary(f"{_OOXML}.spreadsheetml.sheet", "ooxml:read_ooxml", ".xlsx .xlsm .xltx .xltm", "zip/xlsx"),
    _binary("application/vnd.ms-excel.sheet.binary.macroenabled.12", "ooxml:read_ooxml", ".xlsb", "zip/xlsb"),
    _binary("application/zip", "ooxml:read_ooxml", content="zip/ooxml"),
    FileType("text/x-rst", "rst:read_rst", ".rst .rest"),
    FileType("application/x-tex", "latex:read_latex", ".tex .ltx .latex"),
    FileType("text/x-bibtex", "text:read_text", ".bib"),
    _binary("application/rtf", "rtf:read_rtf", ".rtf", "rtf"),
    _binary("application/epub+zip", "epub:read_epub", ".epub", "zip/epub"),
    _binary(f"{_ODF}.text", "odf:read_odf", ".odt .ott .fodt", "zip/odt"),
    _binary(f"{_ODF}.spreadsheet", "odf:read_odf", ".ods .ots .fods", "zip/ods"),
    _binary(f"{_ODF}.presentation", "odf:read_odf", ".odp .otp .fodp", "zip/odp"),
    _binary("application/msword", "compound:read_compound", ".doc .dot", "ole/doc"),
    _binary("application/vnd.ms-excel", "compound:read_compound", ".xls .xlt", "ole/xls"),
    _binary("application/vnd.ms-powerpoint", "compound:read_compound", ".ppt .pot .pps", "ole/ppt"),
    _binary("application/x-ole-storage", "compound:read_compound", content="ole"),
    _binary("application/zip", "zip_archive:read_zip", ".zip .jar .war .whl .nupkg .apk", "zip"),
    _binary("application/x-tar", "tar_archive:read_tar", ".tar", "tar"),
    _binary("application/gzip", "compressed:read_compressed", ".gz .tgz", "gzip"),
    _binary("application/x-bzip2", "compressed:read_compressed", ".bz2 .tbz .tbz2", "bzip2"),
    _binary("application/x-xz", "compressed:read_compressed", ".xz .txz", "xz"),
    _binary("application/zstd", "compressed:read_compressed", ".zst .tzst", "zstd"),
    _binary("application/x-7z-compressed", "seven_zip:read_7z", ".7z", "7z"),
    _MAILBOX,
    _binary("message/rfc822", "mail:read_eml", ".eml"),
    _binary("application/vnd.ms-outlook", "outlook_message:read_msg", ".msg", "ole/msg"),
    FileType("text/csv", "csv_table:read_csv", ".csv"),
    FileType("text/tab-separated-values", "csv_table:read_tsv", ".tsv .tab"),
    FileType("application/json", "json_document:read_json", ".json .geojson"),
    _binary("application/vnd.apache.parquet", "parquet:read_parquet", ".parquet", "parquet"),
    _binary("application/vnd.apache.arrow.stream", "arrow:read_arrow", ".arrow .arrows .feather", "arrow"),
    _binary("application/vnd.sqlite3", "sqlite:read_sqlite", ".sqlite .sqlite3", "sqlite"),
    _binary("image/png", "image:read_image", ".png", "png"),
    _binary("image/jpeg", "image:read_image", ".jpg .jpeg .jpe", "jpeg"),
    _binary("image/gif", "image:read_image", ".gif", "gif"),
    _binary("image/tiff", "image:read_image", ".tif .tiff", "tiff"),
    _binary("image/webp", "image:read_image", ".webp", "webp"),
    _binary("image/bmp", "image:read_image", ".bmp .dib"),
    _binary("audio/wav", "audio:read_audio", ".wav .wave", "wav"),
    _binary("audio/flac", "audio:read_audio", ".flac", "flac"),
    _binary("audio/ogg", "audio:read_audio", ".ogg .oga .opus", "ogg"),
    _binary("audio/mpeg", "audio:read_audio", ".mp3", "mp3"),
    _binary("audio/mp4", "audio:read_audio", ".m4a", "m4a"),
)
_BY_EXTENSION = {extension: kind for kind in _TYPES for extension in kind.extensions.split()}
_BY_CONTENT = {kind.content: kind for kind in _TYPES if kind.content}
_NEVER_TEXT = ("ole", "arrow")
"""Formats that have NULs near their beginning: text under their names is text, such as readline's `inputrc.arrows`."""
_CONTAINERS = {"zip", "zip/ooxml", "ole"}
_MEDIA_TYPES = {
    "css": "text/css",
    "javascript": "text/javascript",
    "json": "application/json",
    "sql": "application/sql",
    "tex": "application/x-tex",
    "toml": "application/toml",
    "xml": "application/xml",
    "yaml": "application/yaml",
}


def file_type(path: str, head: bytes = b"") -> FileType:
    """The type of a file.

    A signature decides, unless it is that of a container and the name says what is in it. Without a signature the
    name decides, but text under a binary format's name (as "Excel" files of web sites are) is HTML or plain text.
    What has neither is plain text if it is text, and else of a type whose reader refuses it.

    Args:
        head: the file's first `HEAD_BYTES`; without any, the name alone decides.
    """
    named, content = _by_name(path, head), content_of(head)
    if content:
        in_container = named is not None and named.content.partition("/")[0] == content.partition("/")[0]
        if named and in_container and (content in _CONTAINERS or named.content == content):
            return named
        if content in _BY_CONTENT:
            return _BY_CONTENT[content]
    if is_binary(head):
        return named if named and named.binary else _UNKNOWN
    if named and not named.binary:
        return named
    if looks_like_html(head):
        return _HTML
    if named is None and looks_like_mailbox(head):
        return _MAILBOX
    if named is None or (head and named.content.startswith(_NEVER_TEXT)):
        return _TEXT
    return named


def _by_name(path: str, head: bytes) -> FileType | None:
    name = posixpath.basename(path).lower()
    extension = posixpath.splitext(name)[1]
    if extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    language = source_language(path, head)
    if not language:
        return None
    return replace(_SOURCE, media_type=_MEDIA_TYPES.get(language, f"text/x-{language}"), language=language)


def is_unknown(path: str, head: bytes) -> bool:
    """Whether a file is no text and of no format that is known here."""
    return file_type(path, head) is _UNKNOWN
