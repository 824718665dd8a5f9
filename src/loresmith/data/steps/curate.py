"""The step `curate`."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from loresmith.factory.step import Guess, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext


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
    group_by_folders: int | None = Field(
        default=None,
        ge=1,
        description="Keep documents whose paths share this many first folders on one side, too; none: folders do not "
        "matter.",
    )
    validation_share: float = Field(
        default=0.03, ge=0, lt=1, description="Share of the groups held out to watch training, from 0 to 1."
    )
    test_share: float = Field(
        default=0.05, ge=0, lt=1, description="Share of the groups held out for evaluation alone, from 0 to 1."
    )

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> CurateConfig:
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave nothing to train on; together they must be below 1")
        return self


def _curate(context: StepContext, config: CurateConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.curate import CurationRules, curate
    from loresmith.data.splitting import Shares

    corpus = context.output("corpus")
    rules = CurationRules(
        config.minimum_bytes,
        config.similarity,
        config.drop_near_duplicates,
        config.group_by_folders,
        Shares(config.validation_share, config.test_share),
    )
    result = curate(inputs["documents"].directory, corpus, rules, context)
    for group, split in result.moved.items():
        context.log(f"group {group[:12]} moved to {split}, which was empty")
    metadata = {
        "documents": sum(split["documents"] for split in result.splits.values()),
        "bytes": sum(split["bytes"] for split in result.splits.values()),
        "splits": result.splits,
        "near_identical": result.near_identical,
        "moved_groups": dict(result.moved),
    }
    return Result({"corpus": Made(corpus, metadata, tuple(sorted(result.labels)))}, result.books)


CURATE = Step(
    name="curate",
    version=1,
    summary="Merge duplicates, drop what is too short, and hold out groups of documents for evaluation.",
    config=CurateConfig,
    inputs={"documents": Input("documents", "What to choose from.")},
    outputs={"corpus": Output("corpus", "The documents that are kept, with their split and group.")},
    run=_curate,
    packages=("numpy", "pyarrow"),
    guess=lambda _config: Guess(seconds=10, peak_bytes=1 << 29, output_bytes=1 << 24),
)
