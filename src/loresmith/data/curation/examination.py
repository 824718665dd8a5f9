"""One document: rules edit its text and say what they see in it. Nothing is decided here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loresmith.data.curation.changing_text import ChangingText, page_characters
from loresmith.data.curation.curation_rules import CurationRules, Privacy
from loresmith.data.curation.expectations import MAIL
from loresmith.data.curation.masked_metadata import masked_metadata
from loresmith.data.edited_text import Edit, EditedText
from loresmith.data.media import is_media
from loresmith.data.privacy.replacement import replacement
from loresmith.data.rules.finding import DocumentRule, Pages
from loresmith.data.rules.language import language_spans
from loresmith.data.rules.mail_parts import mail_parts
from loresmith.data.rules.profiles import Breach, Profile
from loresmith.data.rules.rulebook import RULES

BEFORE_BOILERPLATE = ("repair", "page_furniture", "navigation")
"""Rules that edit a document by itself; boilerplate is looked for in what they leave."""

NOT_ALLOWED, KEPT_TOO_LONG = "not allowed", "kept too long"
FORBIDDEN = (NOT_ALLOWED, KEPT_TOO_LONG)
"""How reasons begin that come of a document's rights, and not of its text."""

_LANGUAGE = "language:"
_EDITING = (*BEFORE_BOILERPLATE, "boilerplate")


@dataclass
class Examined:
    """What rules saw in a document.

    Attributes:
        text: as they leave it.
        profile: the name of the one it is held to; empty: none.
        language: of its prose, or of its source code; empty where it is not known.
        scores, flags: of all rules.
        breaches: of the profile.
        refused: why it must not be in the corpus whatever the scores say; empty: nothing speaks against it.
        findings: of privacy, by kind.
        metadata: JSON, with what privacy takes out of it; of that the flag `metadata edited` tells.
    """

    text: ChangingText
    profile: str
    language: str
    metadata: str
    scores: dict[str, float] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    breaches: tuple[Breach, ...] = ()
    refused: str = ""
    findings: Counter[str] = field(default_factory=Counter)


class Examiner:
    """Has rules look at documents one by one.

    Args:
        rules: of curation.
        more: rules besides those that need nothing, by name: `boilerplate`, `perplexity`.
    """

    def __init__(self, rules: CurationRules, more: Mapping[str, DocumentRule]) -> None:
        self._rules = rules
        self._profiles = rules.expectations.profiles()
        self._book: dict[str, DocumentRule] = {**RULES, **more}

    def before_boilerplate(self, row: Mapping[str, Any]) -> tuple[str, Pages]:
        """A document's text, and its pages, as they are when boilerplate is looked for."""
        examined, pages = self._begun(row)
        for name in self._names(examined, BEFORE_BOILERPLATE):
            self._look(self._book[name], examined, row["media_type"], pages)
        return examined.text.text, examined.text.pages(pages)

    def looks_for_boilerplate(self, row: Mapping[str, Any]) -> bool:
        """Whether boilerplate may be cut out of a document at all."""
        profile = self._profiles.get(self._rules.expectations.name_for(row["language"], row["media_type"]))
        return profile is not None and "boilerplate" in profile.rules

    def examine(self, row: Mapping[str, Any]) -> Examined:
        """All there is to say of a document (`DOCUMENT_COLUMNS`)."""
        examined, pages = self._begun(row)
        examined.refused = _refusal(row, self._rules)
        for name in self._names(examined, _EDITING):
            self._look(self._book[name], examined, row["media_type"], pages)
        if self._rules.privacy is not None:
            _mask(examined, self._rules.privacy)
        for name in self._scoring(examined):
            self._look(self._book[name], examined, row["media_type"], pages)
        if self._rules.languages and examined.profile != "code" and examined.text.text:
            if not examined.profile:
                self._look(self._book["language"], examined, row["media_type"], pages)
            _select_language(examined, self._rules)
        profile = self._profiles.get(examined.profile)
        if profile is not None:
            examined.breaches = tuple(profile.breaches(examined.scores, examined.flags))
        return examined

    def _begun(self, row: Mapping[str, Any]) -> tuple[Examined, Pages]:
        media = is_media(row["bytes"], row["media_type"])
        name = "" if media else self._rules.expectations.name_for(row["language"], row["media_type"])
        examined = Examined(ChangingText(EditedText.of(row["text"])), name, row["language"], row["metadata"])
        if name == MAIL:
            cuts = mail_parts(row["text"], row["metadata"], row["media_type"], self._rules.mail_parts)
            examined.text.apply(cuts, "dropped")
        return examined, page_characters(row["text"], row["pages"])

    def _names(self, examined: Examined, among: Sequence[str]) -> list[str]:
        profile = self._profiles.get(examined.profile)
        if profile is None or not examined.text.text:
            return []
        return [name for name in profile.rules if name in among and name in self._book]

    def _scoring(self, examined: Examined) -> list[str]:
        profile: Profile | None = self._profiles.get(examined.profile)
        if profile is None:
            return []
        return [name for name in profile.rules if name not in _EDITING and name in self._book]

    def _look(self, rule: DocumentRule, examined: Examined, media_type: str, pages: Pages) -> None:
        text = examined.text
        finding = rule.look(text.text, examined.language, media_type, text.pages(pages))
        examined.scores.update(finding.scores)
        examined.flags += [flag for flag in finding.flags if flag not in examined.flags]
        if not examined.language:
            examined.language = next(
                (flag.removeprefix(_LANGUAGE) for flag in finding.flags if flag.startswith(_LANGUAGE)), ""
            )
        if finding.edits:
            text.apply(finding.edits, "edited" if rule.name == "repair" else "dropped", rule.name)


def _select_language(examined: Examined, rules: CurationRules) -> None:
    """Refuse a document in a language that is not wanted, or cut its paragraphs out of one that is."""
    if examined.language and examined.language not in rules.languages:
        examined.refused = examined.refused or f"language: {examined.language}"
    elif rules.other_paragraphs == "cut":
        edits = [
            Edit(span.start, span.end, "", "language")
            for span in language_spans(examined.text.text)
            if span.language not in rules.languages
        ]
        examined.text.apply(edits, "dropped", "language")


def _refusal(row: Mapping[str, Any], rules: CurationRules) -> str:
    """Why a document may not be in the corpus; empty if it may."""
    if rules.use not in row["uses"]:
        return f"{NOT_ALLOWED}: {rules.use}"
    if row["retain_until"] and row["retain_until"] < rules.as_of:
        return KEPT_TOO_LONG
    return ""


def _mask(examined: Examined, privacy: Privacy) -> None:
    """Take out of a text, and of what is told about it, what is not to be in it."""
    text = examined.text.text
    edits = []
    for finding in privacy.recognisers.find(text):
        examined.findings[finding.kind] += 1
        action = privacy.actions[finding.kind]
        if action == "drop":
            examined.refused = examined.refused or f"privacy: {finding.kind}"
        elif action != "detect":
            instead = replacement(finding, text, action, privacy.key)
            edits.append(Edit(finding.start, finding.end, instead, f"privacy: {finding.kind}"))
    examined.text.apply(edits, "masked")
    told, dropped = masked_metadata(examined.metadata, privacy)
    if dropped:
        examined.refused = examined.refused or f"privacy: {dropped}"
    if told != examined.metadata:
        examined.metadata = told
        examined.flags.append("metadata edited")
