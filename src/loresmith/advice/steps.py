"""The step `readiness`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

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
from loresmith.models.presets import PRESETS
from loresmith.nearest import unknown_name
from loresmith.training.quantities import TokenCount


def _known_preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(unknown_name("preset", name, PRESETS))
    return name


class ReadinessConfig(StepConfig):
    """What a corpus is enough for, as a report."""

    sample_bytes: int = Field(
        default=8 << 20,
        ge=1 << 10,
        description="Text, in bytes, in which personal data (and, where curation left no scores, quality and "
        "languages) are looked at; of more, documents spread over the corpus.",
    )
    vocabulary_size: int = Field(
        default=4096,
        ge=300,
        le=65_536,
        description="Tokens of the small vocabulary that is learnt from the corpus: for the pilot, and to count by "
        "where no tokenizer is given. Halved until the text fills it.",
    )
    scratch_parameters: TokenCount = Field(
        default=100_000_000,
        description="The size that one would want of a model trained from scratch; decides from how much text on the "
        "verdict says so. 100M is about GPT-2 small, the least that is of general use; a narrow task takes less.",
    )
    pilot: bool = Field(default=True, description="Whether small models are trained, to see what more text would give.")
    pilot_shares: tuple[float, ...] = Field(
        default=(0.1, 0.3, 1.0), description="Shares of the text that they learn from, rising to 1; three at least."
    )
    pilot_subsets: int = Field(
        default=2,
        ge=1,
        le=10,
        description="Random subsets of each share below 1, each with a seed of its own: how much they differ is part "
        "of the interval.",
    )
    pilot_seeds: int = Field(
        default=1,
        ge=1,
        le=10,
        description="Trainings on all of the text, each with a seed of its own: how much they differ is part of the "
        "interval too. One more takes more time than all smaller shares together, of what the pilot may take.",
    )
    pilot_tokens: TokenCount = Field(
        default=1_000_000,
        description="Tokens that all trainings of the pilot go over, together, at most; of a larger corpus a random "
        "part counts as all of it.",
    )
    pilot_minutes: float = Field(
        default=3.0,
        gt=0,
        description="Minutes that they are to take at most, with the scoring, by the speed that is measured first; it "
        "goes on record, and counts when the step is reproduced. On a machine that gets busier they take longer: the "
        "log says after each training how long is left.",
    )
    pilot_preset: Annotated[str, AfterValidator(_known_preset)] = Field(
        default="qwen3-1m", description="The pilot's model, a named size; `loresmith models presets` has all."
    )

    @model_validator(mode="after")
    def _shares_rise_to_all(self) -> ReadinessConfig:
        shares = self.pilot_shares
        rising = all(low < high for low, high in pairwise(shares))
        if len(shares) < 3 or not rising or shares[0] <= 0 or shares[-1] != 1:
            raise ValueError(
                "pilot_shares has to be three or more shares above 0 that rise to 1, such as [0.1, 0.3, 1]"
            )
        return self


def _readiness(context: StepContext, config: ReadinessConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.advice.page import page
    from loresmith.advice.pilot import PilotSettings
    from loresmith.advice.readiness import ReadinessSettings, assess
    from loresmith.data.retention import overdue, today
    from loresmith.models.architecture import Architecture

    pilot = PilotSettings(
        shares=config.pilot_shares,
        subsets=config.pilot_subsets,
        seeds=config.pilot_seeds,
        tokens=config.pilot_tokens,
        minutes=config.pilot_minutes,
        architecture=Architecture(preset=config.pilot_preset, tied_embeddings=False),
        vocabulary_size=config.vocabulary_size,
    )
    settings = ReadinessSettings(
        sample_bytes=config.sample_bytes,
        vocabulary_size=config.vocabulary_size,
        scratch_parameters=config.scratch_parameters,
        pilot=pilot if config.pilot else None,
    )
    corpus = inputs["corpus"]
    late = overdue(corpus.directory, today()) if config.pilot else None
    if late is not None:
        hint = f"{late.hint}; or leave out the pilot, which learns from them: `pilot: false`, `--no-pilot`"
        raise UserError(late.sentence, hint=hint)
    tokenizer = inputs["tokenizer"].directory if "tokenizer" in inputs else None
    checked = [asset.directory for asset in several(inputs, "contamination").values()]
    report = assess(corpus.directory, corpus.digest, corpus.metadata, tokenizer, checked, settings, context)
    context.log(report.verdict.sentence)
    directory = context.output("report")
    (directory / "readiness.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (directory / "readiness.html").write_text(page(report), encoding="utf-8")
    metadata = {
        "verdict": report.verdict.level,
        "different_tokens": report.tokens.different,
        "largest_model": report.largest_model,
        "learning_curve": report.pilot.curve.outcome,
    }
    return Result({"report": Made(directory, metadata)})


def _guess(config: ReadinessConfig) -> Guess:
    """Half a minute to read, measure and count; the pilot at 8,000 tokens a second, as two cores do,
    with three seconds to score each model."""
    trainings = config.pilot_seeds + config.pilot_subsets * (len(config.pilot_shares) - 1)
    pilot = min(config.pilot_minutes * 60, config.pilot_tokens / 8000 + 3 * trainings) if config.pilot else 0.0
    return Guess(seconds=30 + pilot, peak_bytes=2 << 30, output_bytes=1 << 20)


READINESS = Step(
    name="readiness",
    version=5,
    summary="Say what a corpus is enough for, with reasons: volume, copies, languages, quality, privacy, rights, and a "
    "pilot.",
    config=ReadinessConfig,
    inputs={
        "corpus": Input("corpus", "What is looked at."),
        "tokenizer": Input("tokenizer", "What tokens are counted by; left out, a small one of its own.", optional=True),
        "contamination": Input(
            "report",
            "What the step `contamination` found of this corpus, if it looked; of a suite that several looked for, the "
            "first of them counts.",
            optional=True,
            many=True,
        ),
    },
    outputs={"report": Output("report", "readiness.html for people, readiness.json for programs.")},
    run=_readiness,
    packages=("torch", "transformers", "tokenizers", "numpy", "pyarrow", "eldc", "jinja2"),
    workload=lambda config: _guess(config).seconds,
    guess=_guess,
)
