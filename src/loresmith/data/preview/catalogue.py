"""Every rule that could do something to documents under some rules of curation, also if it does nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loresmith.data.curation.curation_rules import CurationRules
from loresmith.data.curation.expectations import MAIL
from loresmith.data.media import MEDIA
from loresmith.data.preview.previewed import Sort
from loresmith.data.rules.mail_parts import MailPart
from loresmith.data.rules.profiles import Bound, FlagRule

REPEATED = "repeated passages"

BYTES = "bytes"
"""The score that is none of a rule: what is left of a document after all edits."""

_EDITS = {
    "repair": ("edit", "Repairs characters: wrong encodings, ligatures, control characters."),
    "page_furniture": ("cut", "Headers, footers and numbers of pages."),
    "navigation": ("cut", "Menus and cookie banners of web pages."),
    "boilerplate": ("cut", "Paragraphs that too many documents begin or end with."),
}
_MAIL_PARTS: dict[MailPart, str] = {
    "quoted": "Earlier mails that a mail quotes.",
    "signature": "The signature of a mail.",
}
_ACTIONS = {
    "detect": "It stays, and is counted.",
    "mask": "The name of its kind takes its place.",
    "pseudonymise": "An alias takes its place.",
    "drop": "A document with one goes as a whole.",
}


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: as the books name it.
        consequence, because: what it does, and why.
        compares: whether it compares documents, so that a sample shows only a part of what it would do.
        profile: that it belongs to; empty: it holds for all.
        bound, flag: what it looks at, if that is a score (or, outside of profiles, the bytes that are left) or a flag.
    """

    name: str
    sort: Sort
    consequence: str
    because: str
    compares: bool = False
    profile: str = ""
    bound: Bound | None = None
    flag: FlagRule | None = None

    def decides(self, reason: str, detail: str) -> bool:
        """Whether a document is where it is by this rule, going by what the books say of it."""
        if self.sort == "edit":
            return False
        if self.sort == "bound":
            return reason == self.name and detail.endswith(self.because)
        if self.flag is not None:
            profile, _, name = reason.partition(": ")
            return profile == self.profile and self.flag.meets(name)
        return reason == self.name or (self.name == "language" and reason.startswith("language: "))

    def met(self, seen: Mapping[str, Any]) -> bool:
        """Whether it applies to a document, another rule decide over it or not; `seen`: `SCORE_COLUMNS`."""
        if seen["profile"] != self.profile:
            return False
        for breach in seen["breaches"]:
            if breach["because"] == self.because and breach["consequence"] == self.consequence:
                if self.bound is not None and breach["name"] == self.bound.score:
                    return True
                if self.flag is not None and self.flag.meets(breach["name"]):
                    return True
        return False


def catalogue(rules: CurationRules) -> Iterator[Rule]:
    """All of them, in the order in which they decide."""
    yield from _of_single_documents(rules)
    yield from _of_profiles(rules)
    yield from _of_edits(rules)
    yield from _of_privacy(rules)
    yield from _of_likeness(rules)


def _of_single_documents(rules: CurationRules) -> Iterator[Rule]:
    yield Rule(f"not allowed: {rules.use}", "refusal", "drop", f"It may not be used to {rules.use}.")
    if rules.as_of:
        yield Rule("kept too long", "refusal", "drop", f"It may be kept only until a day before {rules.as_of}.")
    if rules.languages:
        wanted = ", ".join(rules.languages)
        yield Rule("language", "refusal", "drop", f"Its language is none of those wanted: {wanted}.")
    yield Rule(MEDIA, "other", "keep", "A picture or a recording, which stays beside the documents, without text.")
    yield Rule("no text", "size", "drop", "Nothing is left of it, or it never had a text.")
    few = f"It has fewer than {rules.minimum_bytes} bytes, after all edits."
    yield Rule("too short", "size", "drop", few, bound=Bound(BYTES, "drop", few, rules.minimum_bytes))


def _of_profiles(rules: CurationRules) -> Iterator[Rule]:
    for profile, expected in rules.expectations.profiles().items():
        for bound in expected.bounds:
            yield Rule(
                f"{profile}: {bound.score}", "bound", bound.consequence, bound.because, profile=profile, bound=bound
            )
        for flag in expected.flags:
            yield Rule(f"{profile}: {flag.flag}", "flag", flag.consequence, flag.because, profile=profile, flag=flag)


def _of_edits(rules: CurationRules) -> Iterator[Rule]:
    if MAIL in rules.expectations.profiles():
        for part in rules.mail_parts:
            yield Rule(part, "edit", "cut", _MAIL_PARTS[part], profile=MAIL)
    used = {name for profile in rules.expectations.profiles().values() for name in profile.rules}
    for name, (consequence, because) in _EDITS.items():
        if name in used and not (name == "boilerplate" and rules.boilerplate_documents is None):
            yield Rule(name, "edit", consequence, because, compares=name == "boilerplate")
    if rules.languages and rules.other_paragraphs == "cut":
        yield Rule("paragraphs in other languages", "edit", "cut", "They are in languages that are not wanted.")
    if rules.repeated:
        units = " and ".join(f"{unit}s" for unit in rules.repeated)
        yield Rule(REPEATED, "edit", "cut", f"Those {units} stand letter for letter before.", compares=True)


def _of_privacy(rules: CurationRules) -> Iterator[Rule]:
    for kind, action in sorted(rules.privacy.actions.items()) if rules.privacy is not None else ():
        yield Rule(f"privacy: {kind}", "privacy", action, _ACTIONS[action])


def _of_likeness(rules: CurationRules) -> Iterator[Rule]:
    yield Rule("exact duplicate", "merge", "merge", "It says the same, letter for letter.", compares=True)
    near = f"{rules.similarity:.0%} or more of its runs of five words are in both."
    if rules.drop_near_duplicates:
        yield Rule("near duplicate", "merge", "merge", near, compares=True)
    else:
        yield Rule("near duplicate", "merge", "keep together", f"{near} They are on one side of the split.", True)
    if rules.containment is not None:
        share = f"{rules.containment:.0%} or more of its runs of five words are in another document."
        yield Rule("contained", "merge", "merge", share, compares=True)


def edit_rule(name: str) -> str:
    """The name here of the rule that made an edit, by the name that edits.parquet has."""
    if not name or name.startswith("repeated "):
        return REPEATED
    return "paragraphs in other languages" if name == "language" else name.partition("/")[0]
