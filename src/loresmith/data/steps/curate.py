"""The step `curate`."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from loresmith.errors import UserError
from loresmith.factory.step import Guess, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext

if TYPE_CHECKING:
    from loresmith.data.curation.curation_rules import CurationRules, Privacy
    from loresmith.data.rules.mail_parts import MailPart

SHORTEST_KEY = 16
"""Bytes; a shorter key can be tried out."""


class BoundSetting(StepConfig):
    """A bound of a score."""

    minimum: float | None = Field(default=None, description="The least that is within bounds; none: there is none.")
    maximum: float | None = Field(default=None, description="The most that is within bounds; none: there is none.")
    consequence: Literal["drop", "quarantine", "flag", "ignore"] = Field(
        default="drop",
        description="What becomes of a document that is out of bounds; `flag` keeps it and says so in scores.parquet, "
        "`ignore` takes a bound of the profile away.",
    )


class CurateConfig(StepConfig):
    """Documents to a corpus: without duplicates, and split so that evaluation is honest."""

    minimum_bytes: int = Field(
        default=64, ge=1, description="A document with less text, in bytes of UTF-8, is dropped."
    )
    similarity: float = Field(
        default=0.7,
        ge=0.5,
        le=1.0,
        description="From this similarity on, two documents are near-identical and never on two sides of the split: "
        "the estimated share of runs of five words that they have in common. The estimate is good to about 0.05.",
    )
    drop_near_duplicates: bool = Field(
        default=False, description="Keep only the longest of near-identical documents, instead of all of them."
    )
    drop_repeated: tuple[Literal["paragraph", "line"], ...] = Field(
        default=(),
        description="Passages that stand letter for letter in an earlier document, or earlier in the same one, are cut "
        "out: paragraphs of 80 bytes or more, lines of 40 or more.",
    )
    group_by_folders: int | None = Field(
        default=None,
        ge=1,
        description="Keep documents whose paths share this many first folders on one side, too; none: folders do not "
        "matter.",
    )
    use: Literal["train", "evaluate", "retrieve"] = Field(
        default="train", description="What the corpus is for; documents that may not be used so are dropped."
    )
    as_of: date | None = Field(
        default=None,
        description="The day (YYYY-MM-DD) on which the corpus is made: documents that may be kept only until a day "
        "before it are dropped. None: none is dropped for that, and the step stops where one may not be kept any more "
        "on the day it runs (UTC).",
    )
    profile: Literal["auto", "none", "web", "manuals", "code", "records", "mail"] = Field(
        default="auto",
        description="What documents are held to: which rules look at them, what these repair and cut, and bounds of "
        "scores beyond which a document is dropped or quarantined. `auto` takes for each document, by its type, "
        "`code`, `mail`, `records` or else `manuals`; `none` leaves every text as it is.",
    )
    bounds: dict[str, dict[str, BoundSetting]] = Field(
        default={},
        description="Bounds of one's own, by profile and score: `{manuals: {words: {minimum: 20}}}`.",
    )
    flags: dict[str, dict[str, Literal["drop", "quarantine", "flag", "ignore"]]] = Field(
        default={},
        description="What becomes of documents with a flag, by profile: `{code: {generated: ignore, 'licence:GPL-3.0': "
        "drop}}`. A flag that ends with `:` stands for all that begin so.",
    )
    languages: tuple[str, ...] = Field(
        default=(),
        description="Languages by ISO 639-1, such as `de`: documents whose prose is in another one are dropped. Empty: "
        "all are welcome. Documents without prose stay.",
    )
    other_paragraphs: Literal["keep", "cut"] = Field(
        default="keep", description="With languages: paragraphs in others, within documents in one of them."
    )
    boilerplate_documents: int | None = Field(
        default=20,
        ge=2,
        description="Paragraphs at the beginning or the end of a document or a page are cut where each of their lines "
        "is in at least so many documents; none: they stay. Source code is left alone.",
    )
    mail_quotes: Literal["keep", "cut"] = Field(
        default="cut",
        description="With the profile `mail`: quoted text of earlier mails, so that a thread is not learnt as often as "
        "it was answered.",
    )
    mail_signatures: Literal["keep", "cut"] = Field(
        default="cut", description="With the profile `mail`: signatures, from the line of two hyphens on."
    )
    containment: float | None = Field(
        default=None,
        ge=0.5,
        le=1.0,
        description="A document of whose runs of five words another document has this share is merged into it; none: "
        "it is kept.",
    )
    privacy: dict[str, Literal["detect", "mask", "pseudonymise", "drop"]] = Field(
        default={},
        description="What is done with what points at a person or opens a door, by kind: `{email: mask, name: "
        "pseudonymise, secret: drop}`. Kinds are card, email, iban, ip, mac, name, national_id, phone and secret, or "
        "`all` for those not named. `detect` counts; `drop` drops the document.",
    )
    privacy_countries: tuple[str, ...] = Field(
        default=(),
        description="Whose telephone numbers and national ids count, such as `de`; empty: all that are known.",
    )
    privacy_names: str | None = Field(
        default=None,
        json_schema_extra={"location": True},
        description="A file of names, one a line, that are found wherever they stand.",
    )
    privacy_name_model: str = Field(
        default="",
        description="A model that finds names, by its entry point in the group `loresmith.names`, which an installed "
        "package offers; empty: rules and lists alone.",
    )
    privacy_confidence: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="What is less sure is no finding: 0.5 wants a check digit, a form of its own or a word nearby; 0.3 "
        "finds more, and much that is none; 0.8 leaves little to doubt.",
    )
    pseudonym_key: str | None = Field(
        default=None,
        json_schema_extra={"location": True},
        description="A file with the key of aliases, at least 16 bytes: one key gives one alias for one person, in "
        "every corpus. Keep it apart from what is made with it.",
    )
    validation_share: float = Field(
        default=0.03, ge=0, lt=1, description="Share of the groups held out to watch training, from 0 to 1."
    )
    test_share: float = Field(
        default=0.05, ge=0, lt=1, description="Share of the groups held out for evaluation alone, from 0 to 1."
    )

    @field_validator("bounds", "flags")
    @classmethod
    def _what_is_named_exists(cls, settings: dict[str, dict[str, Any]], told: ValidationInfo) -> dict[str, Any]:
        from loresmith.data.rules.names import FLAGS, SCORES, is_flag, is_score
        from loresmith.data.rules.profiles import PROFILES
        from loresmith.nearest import unknown_name

        kind, known, fits = {"bounds": ("score", SCORES, is_score), "flags": ("flag", FLAGS, is_flag)}[
            str(told.field_name)
        ]
        for profile, named in settings.items():
            if profile not in PROFILES:
                raise ValueError(unknown_name("profile", profile, PROFILES))
            for name in named:
                if not fits(name):
                    raise ValueError(unknown_name(kind, name, sorted(known)))
        return settings

    @field_validator("privacy")
    @classmethod
    def _kinds_exist(cls, privacy: dict[str, str]) -> dict[str, str]:
        from loresmith.data.privacy.rules import KINDS
        from loresmith.nearest import unknown_name

        for kind in privacy:
            if kind not in (*KINDS, "all"):
                raise ValueError(unknown_name("kind", kind, (*KINDS, "all")))
        return privacy

    @field_validator("privacy_countries")
    @classmethod
    def _countries_exist(cls, countries: tuple[str, ...]) -> tuple[str, ...]:
        from loresmith.data.privacy.packs import PACKS
        from loresmith.nearest import unknown_name

        for country in countries:
            if country not in PACKS:
                raise ValueError(unknown_name("country", country, PACKS))
        return countries

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> CurateConfig:
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave nothing to train on; together they must be below 1")
        if "pseudonymise" in self.privacy.values() and self.pseudonym_key is None:
            raise ValueError("pseudonyms need a key: name a file in pseudonym_key")
        return self

    def key(self) -> bytes:
        """The key of aliases; raises UserError if its file is none."""
        if self.pseudonym_key is None:
            return b""
        try:
            key = Path(self.pseudonym_key).read_bytes().strip()
        except OSError as error:
            raise UserError(f"the key cannot be read: {error.strerror}", where=self.pseudonym_key) from None
        if len(key) < SHORTEST_KEY:
            raise UserError(
                f"the key has {len(key)} bytes, and {SHORTEST_KEY} are the least",
                where=self.pseudonym_key,
                hint="`openssl rand -hex 32 > FILE` makes one",
            )
        return key

    def names(self) -> tuple[str, ...]:
        """The names of the operator's own list."""
        if self.privacy_names is None:
            return ()
        from loresmith.data.privacy.names import read_gazetteer

        return read_gazetteer(Path(self.privacy_names))

    def privacy_settings(self) -> Privacy | None:
        from loresmith.data.curation.curation_rules import Privacy
        from loresmith.data.privacy.recognisers import Recognisers
        from loresmith.data.privacy.rules import KINDS, PrivacyRules

        others = self.privacy.get("all")
        actions = {kind: action for kind in KINDS if (action := self.privacy.get(kind, others)) is not None}
        if not actions:
            return None
        rules = PrivacyRules(
            kinds=tuple(actions),
            gazetteer=self.names(),
            name_model=self.privacy_name_model,
            minimum_confidence=self.privacy_confidence,
        )
        if self.privacy_countries:
            rules = replace(rules, countries=self.privacy_countries)
        return Privacy(Recognisers(rules), actions, self.key())

    @property
    def mail_parts(self) -> tuple[MailPart, ...]:
        """What is cut out of mails."""
        cut: dict[MailPart, str] = {"quoted": self.mail_quotes, "signature": self.mail_signatures}
        return tuple(part for part, wanted in cut.items() if wanted == "cut")

    def rules(self) -> CurationRules:
        """What `curate` decides by; raises UserError if a file that is named cannot be read."""
        from loresmith.data.curation.curation_rules import CurationRules
        from loresmith.data.curation.expectations import Expectations, OwnBound
        from loresmith.data.splitting import Shares

        bounds = {
            profile: {
                score: OwnBound(bound.minimum, bound.maximum, bound.consequence) for score, bound in named.items()
            }
            for profile, named in self.bounds.items()
        }
        return CurationRules(
            shares=Shares(self.validation_share, self.test_share),
            minimum_bytes=self.minimum_bytes,
            expectations=Expectations(self.profile, bounds, self.flags),
            languages=self.languages,
            other_paragraphs=self.other_paragraphs,
            boilerplate_documents=self.boilerplate_documents,
            similarity=self.similarity,
            drop_near_duplicates=self.drop_near_duplicates,
            containment=self.containment,
            group_by_folders=self.group_by_folders,
            use=self.use,
            as_of=self.as_of.isoformat() if self.as_of else "",
            privacy=self.privacy_settings(),
            repeated=self.drop_repeated,
            mail_parts=self.mail_parts,
        )


def _curate(context: StepContext, config: CurateConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.curation.curate import curate
    from loresmith.data.media import MEDIA_FILES
    from loresmith.data.retention import require_in_time, today
    from loresmith.data.rights_summary import rights_facts
    from loresmith.data.steps.engine import engine_of

    if config.as_of is None:
        require_in_time(inputs["documents"].directory, today())
    corpus = context.output("corpus")
    rules = config.rules()
    with engine_of(context) as engine:
        documents, work = inputs["documents"].directory, context.work / "curation"
        judge = inputs["judge"].directory if "judge" in inputs else None
        result = curate(documents, corpus, rules, work, engine, context, judge)
    for group, split in result.moved.items():
        context.log(f"group {group[:12]} moved to {split}, which was empty")
    for kind, count in sorted(result.findings.items()):
        context.log(f"privacy: {count} findings of {kind}: {config.privacy.get(kind, config.privacy.get('all'))}")
    metadata: dict[str, Any] = {
        "documents": sum(split["documents"] for split in result.splits.values()),
        "bytes": sum(split["bytes"] for split in result.splits.values()),
        "splits": result.splits,
        "near_identical": result.duplicates["near"],
        "duplicates": result.duplicates,
        "moved_groups": dict(result.moved),
        "profiles": dict(sorted(result.profiles.items())),
        "languages": dict(sorted(result.languages.items())),
        "boilerplate_lines": result.boilerplate,
        **rights_facts(corpus),
    }
    if result.media:
        metadata["media"] = {
            "documents": result.media.total(),
            "media_types": dict(sorted(result.media.items())),
            **rights_facts(corpus, MEDIA_FILES),
        }
    if rules.privacy is not None:
        metadata["privacy_findings"] = dict(sorted(result.findings.items()))
    if rules.repeated:
        metadata["repeated_passages"] = dict(sorted(result.cut.items()))
    return Result({"corpus": Made(corpus, metadata, tuple(sorted(result.labels)))}, result.books)


def _fingerprint(config: CurateConfig) -> str:
    """Of the key and the list of names, without telling either."""
    said = hmac.new(config.key() or b"none", b"curate", hashlib.sha256).hexdigest()
    return hashlib.sha256("\n".join([said, *config.names()]).encode()).hexdigest()


CURATE = Step(
    name="curate",
    version=8,
    summary="Repair texts, hold them to what is expected of their sort, merge duplicates, mask what points at people, "
    "drop what is not allowed, and hold out groups of documents for evaluation.",
    config=CurateConfig,
    inputs={
        "documents": Input("documents", "What to choose from."),
        "judge": Input("model", "Gives each document the score `bits_per_byte`, over its beginning.", optional=True),
    },
    outputs={"corpus": Output("corpus", "The documents that are kept, with their split and group.")},
    run=_curate,
    fingerprint=_fingerprint,
    packages=("numpy", "pyarrow"),
    guess=lambda _config: Guess(seconds=10, peak_bytes=1 << 29, output_bytes=1 << 24),
)
