"""Which profile a document is held to, and what of it a recipe has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from loresmith.data.rules.mail_parts import MAIL_TYPES
from loresmith.data.rules.profiles import PROFILES, Bound, Consequence, FlagRule, Profile
from loresmith.data.rules.source_documents import is_source_code

_RECORDS = frozenset(
    {
        "text/csv",
        "text/tab-separated-values",
        "application/json",
        "application/jsonl",
        "application/vnd.apache.arrow.stream",
        "application/vnd.apache.parquet",
        "application/vnd.sqlite3",
        "application/x-database-row",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.oasis.opendocument.spreadsheet",
    }
)

AUTO, NONE, MAIL = "auto", "none", "mail"


def profile_of(language: str, media_type: str) -> str:
    """The profile that suits a document: what was crawled from the web cannot be told, and is never supposed."""
    if media_type in MAIL_TYPES:
        return MAIL
    if media_type in _RECORDS:
        return "records"
    return "code" if is_source_code(language, media_type) else "manuals"


@dataclass(frozen=True)
class OwnBound:
    """A bound of the recipe's own.

    Attributes:
        minimum, maximum: that are still within; None: there is none.
        consequence: of being out of bounds; `ignore`: the bound is not looked at.
    """

    minimum: float | None = None
    maximum: float | None = None
    consequence: Consequence | Literal["ignore"] = "drop"


@dataclass(frozen=True)
class Expectations:
    """What documents are held to.

    Attributes:
        profile: the name of one, `auto` (each document by its sort) or `none`.
        bounds: by profile and score, in place of the profile's own of that score.
        flags: by profile and flag: what becomes of documents that have it.
    """

    profile: str = AUTO
    bounds: Mapping[str, Mapping[str, OwnBound]] = field(default_factory=dict)
    flags: Mapping[str, Mapping[str, Consequence | Literal["ignore"]]] = field(default_factory=dict)

    def name_for(self, language: str, media_type: str) -> str:
        """The profile of a document; empty where it is held to none."""
        if self.profile == NONE:
            return ""
        return profile_of(language, media_type) if self.profile == AUTO else self.profile

    def profiles(self) -> dict[str, Profile]:
        """All profiles that documents may be held to, with what the recipe has changed, by name."""
        names = {NONE: (), AUTO: ("manuals", "code", "records", "mail")}.get(self.profile, (self.profile,))
        return {name: self._changed(name) for name in names}

    def _changed(self, name: str) -> Profile:
        profile = PROFILES[name]
        own = self.bounds.get(name, {})
        flags = self.flags.get(name, {})
        bounds = [bound for bound in profile.bounds if bound.score not in own]
        bounds += [
            Bound(score, bound.consequence, "By the recipe's own bound.", bound.minimum, bound.maximum)
            for score, bound in own.items()
            if bound.consequence != "ignore"
        ]
        rules = [rule for rule in profile.flags if rule.flag not in flags]
        rules += [
            FlagRule(flag, consequence, "By the recipe's own rule.")
            for flag, consequence in flags.items()
            if consequence != "ignore"
        ]
        return replace(profile, bounds=tuple(bounds), flags=tuple(rules))
