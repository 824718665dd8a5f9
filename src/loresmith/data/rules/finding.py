"""What a rule says of a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from loresmith.data.edited_text import Edit

Pages = Sequence[tuple[int, int]]
"""Number, and first character, of each page of a text; ascending, and empty where it has none."""


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        scores: by lower-case name; what they mean, and their unit, stands with the rule. A score that has no meaning
            for a document (the mean word length of one without words) is left out; it is never NaN.
        flags: what is so or is not; sorted, each once.
        edits: in order and without overlaps, in characters of the text that was looked at.
    """

    scores: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()


class DocumentRule(Protocol):
    """Looks at one document, without a memory of others: same document, same finding.

    Attributes:
        name: lower case; in the books, and in front of the `rule` of its edits.
    """

    @property
    def name(self) -> str: ...

    def look(self, text: str, language: str, media_type: str, pages: Pages) -> Finding:
        """What there is to say.

        Args:
            text: as the rules before left it.
            language: of prose by ISO 639-1, of source code its name; "" where it is not known.
            media_type: of the document; "" where it is not known.
            pages: where they begin in `text`.
        """
        ...
