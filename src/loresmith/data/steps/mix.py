"""The step `mix`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from loresmith.errors import UserError
from loresmith.factory.step import (
    Guess,
    Input,
    InputAsset,
    Made,
    Output,
    Result,
    Step,
    StepConfig,
    StepContext,
    several,
)
from loresmith.nearest import unknown_name

if TYPE_CHECKING:
    from loresmith.data.mixture.settings import MixtureRules, SourceRule

Weight = float


class SourceSettings(BaseModel):
    """A source of the mixture: a corpus, or the documents of one that a condition is true of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: Weight = Field(
        default=1.0, ge=0, allow_inf_nan=False, description="How much of the text is of it, beside the other weights."
    )
    epochs_cap: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        description="How often its documents are drawn at most; 2.5 is all of them twice, and half of them a third "
        "time.",
    )
    corpus: str = Field(
        default="",
        description="Which of the `corpora` it is in, by name or number. Empty: the one of the source's own name, or "
        "the only one.",
    )
    where: str = Field(
        default="",
        description="Which documents of the corpus, as `loresmith data show --where` takes it: `path LIKE 'faq/%'`, "
        "`language = 'de'`. Empty: those that no other source takes.",
    )


class StageSettings(BaseModel):
    """A part of the corpus, which models see before the next one if they are trained in this order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(gt=0, le=1, description="Of the text, from 0 to 1; those of all stages add up to 1.")
    weights: dict[str, Weight] = Field(
        default={}, description="The weights of sources that have another one in this stage."
    )


class CurriculumSettings(BaseModel):
    """An order from one sort of document to another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field(
        default="",
        description="The column of numbers by which the documents of each source ascend, in every epoch: `bytes`, "
        "`scores.words`, `metadata.level`. Empty: in no order.",
    )
    descending: bool = Field(default=False, description="Whether they descend instead.")
    stages: tuple[StageSettings, ...] = Field(
        default=(), description="Parts with weights of their own, one after the other; none: one part."
    )

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        total = sum(stage.share for stage in self.stages)
        if self.stages and abs(total - 1) > 1e-6:
            raise ValueError(f"the shares of the stages add up to {total:g}, not to 1")
        return self


class MixConfig(StepConfig):
    """Corpora to one, in which each source has its share."""

    sources: dict[str, SourceSettings] = Field(
        default={},
        description="The sources by name; none: every corpus is one, with the weight 1.",
    )
    target_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Bytes of text to train on. Where a source has too little for its weight, the others have more. "
        "None: as many as there can be with all shares as they are wanted.",
    )
    curriculum: CurriculumSettings = Field(
        default=CurriculumSettings(),
        description="In which order documents stand. A training follows it with `order: as_packed`; as a rule it "
        "takes rows in an order of its own.",
    )
    similarity: float = Field(
        default=0.7,
        ge=0.5,
        le=1.0,
        description="From this similarity on, documents of different corpora are near-identical (runs of five words "
        "that they share, among those of both), and never on two sides of the split.",
    )


def _rules(config: MixConfig, corpora: Sequence[str], seed: int) -> MixtureRules:
    from loresmith.data.mixture.amounts import Stage
    from loresmith.data.mixture.settings import MixtureRules

    settings = config.sources or {name: SourceSettings() for name in corpora}
    sources = tuple(_source(name, source, corpora) for name, source in sorted(settings.items()))
    _require_one_rest(sources, corpora)
    weights = {name: source.weight for name, source in settings.items()}
    stages = []
    for number, stage in enumerate(config.curriculum.stages or (StageSettings(share=1.0),), 1):
        for name in stage.weights:
            if name not in settings:
                raise UserError(unknown_name("source", name, settings), where=f"curriculum.stages, stage {number}")
        stages.append(Stage(stage.share, {**weights, **stage.weights}))
        if not any(weight > 0 for weight in stages[-1].weights.values()):
            raise UserError(f"no source has a weight in stage {number}", where="sources")
    total = sum(stage.share for stage in stages)
    return MixtureRules(
        corpora=corpora,
        sources=sources,
        stages=[Stage(stage.share / total, stage.weights) for stage in stages],
        target_bytes=config.target_bytes,
        by=config.curriculum.by,
        descending=config.curriculum.descending,
        similarity=config.similarity,
        seed=seed,
    )


def _check(config: MixConfig, inputs: Mapping[str, str]) -> None:
    """Refuse what needs no look into the corpora, which may take hours to make."""
    from loresmith.data.conditions.grammar import parse
    from loresmith.data.conditions.words import Written

    for source in _rules(config, list(several(inputs, "corpora")), seed=0).sources:
        if source.where:
            parse(Written(source.where, f"sources.{source.name}.where"))


def _source(name: str, settings: SourceSettings, corpora: Sequence[str]) -> SourceRule:
    from loresmith.data.mixture.settings import SourceRule

    wanted = settings.corpus or (name if name in corpora else corpora[0] if len(corpora) == 1 else "")
    if wanted not in corpora:
        raise UserError(
            unknown_name("corpus", wanted, corpora) if wanted else f"it does not say which corpus {name!r} is in",
            where=f"sources.{name}.corpus",
            hint=f"one of {', '.join(corpora)}",
        )
    return SourceRule(name, corpora.index(wanted), settings.where, settings.epochs_cap)


def _require_one_rest(sources: tuple[SourceRule, ...], corpora: Sequence[str]) -> None:
    """Of a corpus, one source at most may be what the others leave."""
    for number, corpus in enumerate(corpora):
        without = [source.name for source in sources if source.corpus == number and not source.where]
        if len(without) > 1:
            raise UserError(
                f"{' and '.join(without)} both take all that is left of {corpus}",
                where="sources",
                hint="say with `where` which documents each of them has",
            )


def _mix(context: StepContext, config: MixConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.mixture.mix import mix_corpora
    from loresmith.data.rights_summary import rights_facts
    from loresmith.data.steps.engine import engine_of

    corpora = several(inputs, "corpora")
    rules = _rules(config, list(corpora), context.seed)
    directory = context.output("corpus")
    folders = [asset.directory for asset in corpora.values()]
    with engine_of(context) as engine:
        mixed = mix_corpora(folders, directory, rules, context.work / "mixture", engine, context)
    if mixed.moved:
        context.log(f"{mixed.moved} documents are near-identical to held-out ones of another corpus, and held out, too")
    for name, source in mixed.sources.items():
        train = source["train"]
        context.log(
            f"{name}: {train['share']:.1%} of the text to train on, {source['wanted_share']:.1%} wanted, "
            f"{train['epochs']:g} epochs of {train['epochs_cap']:g} at most"
        )
    metadata = {
        "documents": sum(split["documents"] for split in mixed.splits.values()),
        "bytes": sum(split["bytes"] for split in mixed.splits.values()),
        "splits": mixed.splits,
        "sources": mixed.sources,
        "moved_documents": mixed.moved,
        "near_identical": mixed.near,
        "languages": {language or "unknown": count for language, count in sorted(mixed.languages.items())},
        "order": {
            "by": config.curriculum.by,
            "descending": config.curriculum.descending,
            "stages": [stage.share for stage in rules.stages],
        },
        **rights_facts(directory),
    }
    return Result({"corpus": Made(directory, metadata, tuple(sorted(mixed.labels)))}, mixed.books)


MIX = Step(
    name="mix",
    version=3,
    summary="Mix corpora: each source by its weight and repeated no more than it may be; what is held out stays so.",
    config=MixConfig,
    inputs={"corpora": Input("corpus", "The corpora, as a list or by name.", many=True)},
    outputs={
        "corpus": Output("corpus", "The mixture: a row for each time that a document is drawn, and what is held out.")
    },
    run=_mix,
    packages=("pyarrow", "numpy"),
    check=_check,
    guess=lambda _config: Guess(seconds=30, peak_bytes=1 << 29, output_bytes=100 << 20),
)
