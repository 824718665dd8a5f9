"""One page on a run: what went in and out, how it learnt, how good it is, where everything lies, what to do next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from loresmith.evaluation.reports import CASES_FILE, REPORT_FILE, EvaluationReport
from loresmith.ledger import Action
from loresmith.ledger.books import Account
from loresmith.sdk.call import Answer
from loresmith.sdk.mixtures import MixtureSource, sources_of

if TYPE_CHECKING:
    from loresmith.sdk.runs import RunHandle
    from loresmith.sdk.workspace import Workspace

CURVE = "held_out_bits_per_byte"
SAMPLES_SHOWN = 3


class StepSummary(Answer):
    """One step of the run."""

    name: str = Field(description="The step's name in the recipe.")
    step: str = Field(description="Which kind of step.")
    seconds: float = Field(description="How long the work took, whenever it was done.")
    here: bool = Field(description="Whether this run did the work, rather than finding it done.")
    output_bytes: int = Field(description="Size of what it made.")
    accounts: tuple[Account, ...] = Field(description="Its books.")


class MixtureSummary(Answer):
    """A mixture that the run made."""

    name: str = Field(description="The step's name in the recipe.")
    sources: tuple[MixtureSource, ...] = Field(description="Its sources.")


class CurvePoint(Answer):
    """One measurement during training."""

    position: float = Field(description="Tokens trained on.")
    value: float = Field(description="Bits per byte of held-out text.")


class SampleSummary(Answer):
    """Something that the model wrote."""

    name: str = Field(description="What it was asked to finish.")
    prompt: str = Field(description="What it was given.")
    completion: str = Field(description="What it wrote.")
    reference: str = Field(description="What the held-out document says.")


class ReleaseSummary(Answer):
    """What the run released."""

    name: str = Field(description="The release.")
    channel: str = Field(description="Its channel.")
    asset: str = Field(description="Digest of the asset that the channel points at now.")


class Summary(Answer):
    """One page on a run."""

    run: str = Field(description="The run's id.")
    recipe: str = Field(description="The recipe's name.")
    status: str = Field(description="The run's status.")
    steps: tuple[StepSummary, ...] = Field(description="Its finished steps, in running order.")
    mixtures: tuple[MixtureSummary, ...] = Field(description="What each mixture of corpora came to.")
    curve: tuple[CurvePoint, ...] = Field(description="Held-out bits per byte during training.")
    evaluation: EvaluationReport | None = Field(description="The newest evaluation report among its outputs.")
    samples: tuple[SampleSummary, ...] = Field(description="A few completions of held-out text.")
    release: ReleaseSummary | None = Field(description="What it released.")
    workspace: Path = Field(description="The workspace's folder.")
    folder: Path = Field(description="The run's logs and events.")
    model: Path | None = Field(description="A read-only folder with the model, for transformers.")


def summarise(workspace: Workspace, run: RunHandle) -> Summary:
    """The page on one run; a run that has not finished has the steps that it finished."""
    actions = run.actions()
    reports = list(_evaluations(workspace, actions))
    plan = run.plan()
    models = [digest for digest in _outputs(actions) if workspace.ledger.assets.get(digest).kind == "model"]
    release = None
    if plan.release is not None:
        target = workspace.ledger.releases.target(plan.release.name, plan.release.channel)
        if target is not None:
            release = ReleaseSummary(name=plan.release.name, channel=plan.release.channel, asset=target)
    return Summary(
        run=run.id,
        recipe=plan.recipe,
        status=run.status,
        steps=tuple(
            StepSummary(
                name=name,
                step=action.step,
                seconds=action.seconds,
                here=action.run == run.id,
                output_bytes=action.output_bytes,
                accounts=action.books.accounts,
            )
            for name, action in actions.items()
        ),
        mixtures=tuple(_mixtures(workspace, actions)),
        curve=tuple(
            CurvePoint(position=metric.position, value=metric.value)
            for name in actions
            for metric in run.metrics(name, CURVE)
        ),
        evaluation=reports[-1][0] if reports else None,
        samples=_samples(reports[-1][1]) if reports else (),
        release=release,
        workspace=workspace.place.folder,
        folder=run.folder,
        model=workspace.ledger.assets.directory(models[-1]) if models else None,
    )


def _outputs(actions: dict[str, Action]) -> Iterator[str]:
    for action in actions.values():
        yield from action.outputs.values()


def _mixtures(workspace: Workspace, actions: dict[str, Action]) -> Iterator[MixtureSummary]:
    for name, action in actions.items():
        for digest in action.outputs.values():
            if sources := sources_of(workspace.ledger.assets.get(digest).metadata):
                yield MixtureSummary(name=name, sources=sources)


def _evaluations(workspace: Workspace, actions: dict[str, Action]) -> Iterator[tuple[EvaluationReport, Path]]:
    """The evaluation reports among the outputs, with their folders."""
    for digest in _outputs(actions):
        if workspace.ledger.assets.get(digest).kind != "report":
            continue
        folder = workspace.ledger.assets.directory(digest)
        data = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
        if data.get("kind") == "evaluation":
            yield EvaluationReport.model_validate(data), folder


def _samples(folder: Path) -> tuple[SampleSummary, ...]:
    with (folder / CASES_FILE).open(encoding="utf-8") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    samples = [row for row in rows if row["kind"] == "sample"]
    return tuple(
        SampleSummary(name=row["name"], prompt=row["prompt"], completion=row["completion"], reference=row["reference"])
        for row in samples[:SAMPLES_SHOWN]
    )
