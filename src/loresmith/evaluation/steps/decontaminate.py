"""`decontaminate`: a corpus without what evaluation suites ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from loresmith.evaluation.contamination_settings import ContaminationSettings
from loresmith.evaluation.steps.contamination import SUITES, distinct
from loresmith.factory.step import Check, Guess, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext

Split = Literal["train", "validation", "test"]


class DecontaminateConfig(ContaminationSettings, StepConfig):
    """What is done where a document holds a case of a suite."""

    overlap: Literal["drop-span", "drop-document", "flag"] = Field(
        default="drop-span",
        description="`drop-span` cuts out the stretch that holds the case, `drop-document` drops the document, `flag` "
        "leaves the text as it is and only says which cases are in it.",
    )
    splits: tuple[Split, ...] = Field(
        default=("train",),
        min_length=1,
        description="The documents that are looked at; those that are held out are not learnt from.",
    )
    around: int = Field(
        default=200,
        ge=0,
        le=10_000,
        description="Characters that are cut on either side of a stretch as well, where the rest of a question or its "
        "answer may stand in other words; to the end of the word.",
    )
    most_cuts: int = Field(
        default=10, ge=1, description="A document that would be cut in more places is dropped altogether."
    )
    minimum_bytes: int = Field(
        default=64, ge=1, description="A document of which fewer bytes of UTF-8 are left is dropped altogether."
    )


def _decontaminate(context: StepContext, config: DecontaminateConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.contamination.decontaminate import Measures, decontaminate
    from loresmith.data.mixture.source_shares import said_of_what_is_left
    from loresmith.data.rights_summary import rights_facts
    from loresmith.data.steps.engine import engine_of
    from loresmith.evaluation.contamination_report import suite_metadata
    from loresmith.evaluation.suite_cases import suite_cases

    corpus, suites = inputs["corpus"], distinct(inputs, "suites")
    if not suites:
        context.log("there are no suites to hold the corpus against: it stays as it is")
    folders = {digest: asset.directory for digest, (_, asset) in suites.items()}
    target = context.output("corpus")
    measures = Measures(
        config.rule(), config.overlap, config.splits, config.around, config.most_cuts, config.minimum_bytes
    )
    with engine_of(context) as engine:
        made = decontaminate(
            corpus.directory,
            target,
            lambda: suite_cases(folders),
            tuple(folders),
            measures,
            context.work / "findings",
            engine,
            context,
        )
    checks = []
    for digest, (role, _) in suites.items():
        facts = made.findings.suites[digest].facts()
        evidence = {
            "corpora": {corpus.digest: facts},
            "overlap": config.overlap,
            "cases": sorted(made.findings.suites[digest].found)[:100],
            "tokens": config.tokens,
            "shortest": config.rule().shortest,
            "similarity": config.similarity,
        }
        contaminated = facts["exact"] + facts["near"]
        checks.append(Check(role, "contamination", not contaminated, evidence))
        context.log(f"suite {digest[:12]}: {contaminated} of {facts['cases']} cases in {facts['documents']} documents")
    metadata: dict[str, Any] = {
        **{name: value for name, value in corpus.metadata.items() if name not in _ANEW},
        "documents": sum(split["documents"] for split in made.splits.values()),
        "bytes": sum(split["bytes"] for split in made.splits.values()),
        "splits": made.splits,
        "contamination": {"overlap": config.overlap, "suites": suite_metadata(made.findings.suites)},
        **rights_facts(target),
    }
    if made.sources and "sources" in corpus.metadata:
        metadata["sources"] = said_of_what_is_left(corpus.metadata["sources"], made.sources)
    if "languages" in corpus.metadata:
        metadata["languages"] = dict(made.languages)
    return Result({"corpus": Made(target, metadata, tuple(sorted(made.labels)))}, made.books, tuple(checks))


_ANEW = ("rights", "first_retain_until", "media", "sources")
"""Facts of the corpus that may not hold any more for what is left of it."""

DECONTAMINATE = Step(
    name="decontaminate",
    version=5,
    summary="Cut the cases of evaluation suites out of a corpus, or drop the documents that hold them, or flag them.",
    config=DecontaminateConfig,
    inputs={"corpus": Input("corpus", "The corpus."), "suites": SUITES},
    outputs={"corpus": Output("corpus", "The same without the cases, and a table of what was found where.")},
    run=_decontaminate,
    packages=("numpy", "pyarrow"),
    guess=lambda _config: Guess(seconds=10, peak_bytes=1 << 29, output_bytes=1 << 24),
)
