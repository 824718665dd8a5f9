"""What kind of file this is and who reads it, from its name."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from loresmith.data.readers.html import read_html
from loresmith.data.readers.jsonl import read_jsonl
from loresmith.data.readers.markdown import read_markdown
from loresmith.data.readers.record import Reader
from loresmith.data.readers.source_code import LANGUAGE_BY_NAME, read_source_code
from loresmith.data.readers.text import read_text


@dataclass(frozen=True)
class FileType:
    """A kind of file: its media type, the language of its text (empty: not known), and its reader."""

    media_type: str
    language: str
    read: Reader


_TEXT = FileType("text/plain", "", read_text)
_MARKDOWN = FileType("text/markdown", "", read_markdown)
_HTML = FileType("text/html", "", read_html)
_JSONL = FileType("application/jsonl", "", read_jsonl)
_BY_EXTENSION = {
    ".txt": _TEXT,
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".html": _HTML,
    ".htm": _HTML,
    ".xhtml": _HTML,
    ".jsonl": _JSONL,
    ".ndjson": _JSONL,
}
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


def file_type(path: str) -> FileType:
    """The type of a file by its name. What has no known name is plain text, if it turns out to be text at all."""
    name = posixpath.basename(path).lower()
    extension = posixpath.splitext(name)[1]
    if extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    language = LANGUAGE_BY_NAME.get(name) or LANGUAGE_BY_NAME.get(extension)
    if language is None:
        return _TEXT
    return FileType(_MEDIA_TYPES.get(language, f"text/x-{language}"), language, read_source_code)
