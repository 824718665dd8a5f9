"""`contamination`: which cases of which suites are in which corpora."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from loresmith.errors import UserError
from loresmith.evaluation.contamination_settings import ContaminationSettings
from loresmith.factory.step import (
    Check,
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

if TYPE_CHECKING:
    from loresmith.data.engine.engine import Engine
    from loresmith.evaluation.contamination_report import CorpusContamination

CORPORA = Input(
    "corpus",
    "Corpora, of which the training text is looked at; every one of the workspace by default.",
    many=True,
    every=True,
)
SUITES = Input(
    "suite", "Suites whose cases are looked for; every one of the workspace by default.", many=True, every=True
)


class ContaminationConfig(ContaminationSettings, StepConfig):
    """Settings of the step `contamination`."""


def distinct(inputs: Mapping[str, InputAsset], role: str) -> dict[str, tuple[str, InputAsset]]:
    """The assets of a role of many, each once, with the role of its own, by digest."""
    assets = {asset.digest: (f"{role}.{name}", asset) for name, asset in reversed(several(inputs, role).items())}
    return dict(sorted(assets.items()))


def _contamination(context: StepContext, config: ContaminationConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.evaluation.contamination_report import (
        ContaminationReport,
        contamination_text,
        corpus_evidence,
        suite_evidence,
    )
    from loresmith.evaluation.reports import write_report

    corpora, suites = distinct(inputs, "corpora"), distinct(inputs, "suites")
    for role, there in (("corpora", corpora), ("suites", suites)):
        if not there:
            raise UserError(f"there are no {role} to look at", hint="name them, or register some first")
    folder = context.output("report")
    report = ContaminationReport(
        tokens=config.tokens,
        shortest=config.rule().shortest,
        similarity=config.similarity,
        corpora=tuple(_all_looked_at(context, config, [asset for _, asset in corpora.values()], suites)),
    )
    write_report(folder, report, contamination_text(report), ())
    checks = []
    for digest, (role, _) in suites.items():
        clean = not any(one.contaminated for each in report.corpora for one in each.suites if one.suite == digest)
        checks.append(Check(role, "contamination", clean, suite_evidence(report, digest)))
    for corpus in report.corpora:
        if corpus.unread is None:
            clean = not any(one.contaminated for one in corpus.suites)
            evidence = corpus_evidence(report, corpus)
            checks.append(Check(corpora[corpus.corpus][0], "contamination", clean, evidence))
    contaminated = {(one.suite, case.case) for each in report.corpora for one in each.suites for case in one.found}
    context.log(f"{len(contaminated)} cases of {len(suites)} suites are in {len(corpora)} corpora")
    metadata = {"corpora": len(corpora), "suites": len(suites), "contaminated_cases": len(contaminated)}
    return Result({"report": Made(folder, metadata)}, checks=tuple(checks))


def _all_looked_at(
    context: StepContext,
    config: ContaminationConfig,
    corpora: Sequence[InputAsset],
    suites: Mapping[str, tuple[str, InputAsset]],
) -> Iterator[CorpusContamination]:
    from loresmith.data.steps.engine import engine_of

    with engine_of(context) as engine:
        for corpus in corpora:
            yield _looked_at(context, config, corpus, suites, engine)


def _looked_at(
    context: StepContext,
    config: ContaminationConfig,
    corpus: InputAsset,
    suites: Mapping[str, tuple[str, InputAsset]],
    engine: Engine,
) -> CorpusContamination:
    from loresmith.data.contamination.findings import FINDING_COLUMNS, look
    from loresmith.data.tables import TableWriter
    from loresmith.evaluation.contamination_report import CorpusContamination, SuiteContamination
    from loresmith.evaluation.suite import SUITE_FILE, read_suite
    from loresmith.evaluation.suite_cases import suite_cases

    folders = {digest: asset.directory for digest, (_, asset) in suites.items()}
    work = context.work / "findings" / corpus.digest
    rule, digests = config.rule(), tuple(folders)
    try:
        found = look(corpus.directory, lambda: suite_cases(folders), rule, ("train",), work, engine, context, digests)
    except UserError as error:  # one that an earlier version made, or another program, is no reason to stop
        context.log(f"corpus {corpus.digest[:12]} cannot be looked at: {error.what}")
        return CorpusContamination(corpus=corpus.digest, unread=error.what)
    file = context.output("report") / f"contamination-{corpus.digest[:12]}-00000.parquet"
    with TableWriter(file, FINDING_COLUMNS) as table:
        for row in found.rows():
            table.add(row)
    names = {digest: read_suite(folder / SUITE_FILE).name for digest, folder in folders.items()}
    return CorpusContamination(
        corpus=corpus.digest,
        suites=tuple(SuiteContamination.of(digest, names[digest], found.suites[digest]) for digest in folders),
    )


CONTAMINATION = Step(
    name="contamination",
    version=3,
    summary="Look for the cases of evaluation suites in the training text of corpora. Plans hold it by themselves "
    "whenever a corpus or a suite is made and there is something to hold it against.",
    config=ContaminationConfig,
    inputs={"corpora": CORPORA, "suites": SUITES},
    outputs={"report": Output("report", "The cases that are there, how, and where; a receipt on each asset says it.")},
    run=_contamination,
    packages=("numpy", "pyarrow"),
    guess=lambda _config: Guess(seconds=5, peak_bytes=1 << 29, output_bytes=1 << 18),
)
