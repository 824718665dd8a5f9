"""What `curate` decides by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from loresmith.data.curation.expectations import Expectations
from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.rules.mail_parts import MAIL_PARTS, MailPart
from loresmith.data.splitting import Shares

PrivacyAction = Literal["detect", "mask", "pseudonymise", "drop"]
Unit = Literal["paragraph", "line"]


@dataclass(frozen=True)
class Privacy:
    """What is done with what points at a person or opens a door.

    Attributes:
        recognisers: find it.
        actions: by kind of finding.
        key: of aliases.
    """

    recognisers: Recognisers
    actions: Mapping[str, PrivacyAction]
    key: bytes = b""


@dataclass(frozen=True)
class CurationRules:
    """What becomes of documents.

    Attributes:
        shares: what is held out.
        minimum_bytes: a document with less text is dropped.
        expectations: the profiles.
        languages: those that are wanted; of others, documents are dropped. Empty: all.
        other_paragraphs: `keep` or `cut` paragraphs in languages that are not wanted out of documents in one that is.
        boilerplate_documents: in how many documents a line has to be to be boilerplate; None: none is.
        similarity: from here on two documents are near-identical (Jaccard similarity of word shingles).
        drop_near_duplicates: keep one document of each near-identical group instead of all.
        containment: a document of which another one has this share is merged into it; None: they are not looked for.
        group_by_folders: documents that share the first so many folders of their paths are one group, too; None:
            folders do not matter.
        use: what the corpus is for; documents that may not be used so are left out.
        as_of: documents that might be kept only until a day before this one (YYYY-MM-DD) are left out; empty: none is.
        privacy: what is masked; None: nothing is looked for.
        repeated: passages of which only the first one stays.
        mail_parts: what is cut out of mails that are held to the profile `mail`.
    """

    shares: Shares
    minimum_bytes: int = 64
    expectations: Expectations = field(default_factory=Expectations)
    languages: tuple[str, ...] = ()
    other_paragraphs: Literal["keep", "cut"] = "keep"
    boilerplate_documents: int | None = 20
    similarity: float = 0.7
    drop_near_duplicates: bool = False
    containment: float | None = None
    group_by_folders: int | None = None
    use: str = "train"
    as_of: str = ""
    privacy: Privacy | None = None
    repeated: tuple[Unit, ...] = ()
    mail_parts: tuple[MailPart, ...] = MAIL_PARTS
