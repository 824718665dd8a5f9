"""Which documents are source code: what they hold in quotes is data, and their lines are not sentences."""

from __future__ import annotations

from loresmith.data.readers.source_language import LANGUAGE_BY_NAME

SOURCE_LANGUAGES = frozenset(LANGUAGE_BY_NAME.values()) | {"apex", "coq", "glsl", "mathematica", "rebol", "turing"}
"""What `source_language` calls them."""

_PROSE = frozenset({"text/x-rst", "text/x-bibtex"})


def is_source_code(language: str, media_type: str) -> bool:
    """Whether a document is source code, configuration or markup that was read as it is written."""
    return language in SOURCE_LANGUAGES or (media_type.startswith("text/x-") and media_type not in _PROSE)
