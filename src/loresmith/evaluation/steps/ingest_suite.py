"""`ingest-suite`: a file of cases becomes a suite of the workspace."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from loresmith.evaluation.suite import SUITE_FILE, ScorerName
from loresmith.factory.step import Guess, InputAsset, Made, Output, Result, Step, StepConfig, StepContext
from loresmith.ledger.books import Account, Books, Entry

if TYPE_CHECKING:
    from loresmith.evaluation.suite import Suite


class IngestSuiteConfig(StepConfig):
    """Cases with their answers."""

    path: Path = Field(
        json_schema_extra={"location": True},
        description="A file of JSON lines, each with `id`, `prompt` and `answer`, and `scorer`, `max_new_tokens` and "
        "`stop` where they are its own; or a suite as a YAML file, which says all of this itself.",
    )
    name: str = Field(default="suite", min_length=1, description="What the suite is called in reports.")
    description: str = Field(default="", description="What it is meant to show, in a sentence or two.")
    scorer: ScorerName = Field(
        default="exact",
        description="What counts as right: the output is the answer (`exact`), holds it (`contains`), or the answer is "
        "a regular expression that is found in it (`regex`).",
    )
    max_new_tokens: int = Field(default=64, ge=1, le=4096, description="For cases that do not say how many tokens.")

    def suite(self) -> Suite:
        from loresmith.evaluation.suite_lines import read_suite_lines

        return read_suite_lines(self.path, self.name, self.description, self.scorer, self.max_new_tokens)


def _ingest_suite(context: StepContext, config: IngestSuiteConfig, _inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.evaluation.suite import write_suite

    suite = config.suite()
    folder = context.output("suite")
    write_suite(suite, folder / SUITE_FILE)
    kept = (Entry(disposition="kept", reason="", count=len(suite.cases)),)
    books = Books(accounts=(Account(unit="cases", entered=len(suite.cases), left=kept),))
    return Result({"suite": Made(folder, {"name": suite.name, "cases": len(suite.cases)})}, books)


def _fingerprint(config: IngestSuiteConfig) -> str:
    """Of what the file says, which is checked here so that a mistake in it is found when the plan is made."""
    return hashlib.sha256(config.suite().model_dump_json().encode()).hexdigest()


def _restore(config: IngestSuiteConfig, outputs: Mapping[str, Path], _folder: Path) -> IngestSuiteConfig:
    return config.model_copy(update={"path": outputs["suite"] / SUITE_FILE})


INGEST_SUITE = Step(
    name="ingest-suite",
    version=1,
    summary="Read a file of evaluation cases into a suite.",
    config=IngestSuiteConfig,
    inputs={},
    outputs={"suite": Output("suite", "The cases.")},
    run=_ingest_suite,
    fingerprint=_fingerprint,
    restore_sources=_restore,
    guess=lambda _config: Guess(seconds=2, peak_bytes=1 << 28, output_bytes=1 << 20),
)
