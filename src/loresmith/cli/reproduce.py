"""`loresmith reproduce`, for people."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from loresmith.cli.command import command
from loresmith.cli.live import live_run
from loresmith.cli.screen import Screen, duration, figure, short
from loresmith.factory.reproduction.report import OutputComparison, StepReproduction
from loresmith.sdk.calls.reproduce import REPRODUCE, ReproduceAnswer, ReproduceRequest

_MOST = 8
"""Lines of one kind at most; `--json` has all."""

_SOURCES = {
    "ledger": "",
    "snapshot": "its files from the snapshot in the ledger",
    "originals": "its files where they lie, unchanged",
}


def _show(answer: ReproduceAnswer, _request: ReproduceRequest, screen: Screen) -> None:
    again = [step for step in answer.steps if step.outcome != "given"]
    took = duration(sum(step.seconds or 0 for step in again))
    steps = "1 step" if len(again) == 1 else f"{len(again)} steps"
    verdict = "the same, bit for bit" if answer.same else "NOT the same"
    if answer.given or len(again) < len(answer.steps):
        verdict += ", beginning with what was taken as given"
    screen.line(f"{answer.kind} {short(answer.asset)}: {verdict}; {steps} of its lineage carried out again in {took}")
    screen.line()
    screen.table(
        ("step", "kind", "outcome", "time", "then", "what it read"), map(_row, answer.steps), right=("time", "then")
    )
    for given in answer.given:
        screen.line(
            f"taken as given: {given.kind} {short(given.asset)}, which {given.used_by} reads, was added by hand"
        )
    for step in answer.steps:
        if step.outcome == "given":
            screen.line(f"taken as given: the outputs of {step.name}: {step.reason}")
    if answer.first_difference is not None:
        screen.line()
        screen.line(f"the first step that differs is {answer.first_difference}")
    for step in answer.steps:
        if any(not output.same for output in step.outputs):
            screen.line()
            for line in _differences(step):
                screen.line(line)
    if answer.same:
        screen.line()
        for line in _environments(answer):
            screen.line(line)
    if answer.kept is not None:
        screen.line()
        screen.line(f"what was made is kept in {answer.kept}")


def _row(step: StepReproduction) -> tuple[str, ...]:
    outcome = {"same": "same", "differs": "DIFFERS", "given": "taken as given"}[step.outcome]
    if step.recorded_inputs:
        outcome += f", given {' and '.join(step.recorded_inputs)} on record"
    read = "" if step.outcome == "given" else _SOURCES[step.sources]
    return (step.name, step.step, outcome, duration(step.seconds), duration(step.recorded_seconds), read)


def _differences(step: StepReproduction) -> Iterator[str]:
    """What differs in a step, and what was different where it ran."""
    yield f"{step.name} ({step.step})"
    for output in step.outputs:
        if not output.same:
            yield from _output(output)
    for metric in step.metrics[:_MOST]:
        of = f"value {metric.number} of {metric.values} on record"
        yield (
            f"  {metric.name} leaves the record at {figure(metric.position)} ({of}): "
            f"{metric.recorded or 'nothing'} then, {metric.found or 'nothing'} now"
        )
    if step.numbers and not step.metrics:
        yield f"  the {step.numbers:,} numbers on record that it measured on the way are the same"
    if not step.environment:
        yield f"  {_the_same(step.unrecorded)}; reproduce it again to see whether the step gives the same twice"
    else:
        yield "  what was different in the environment:"
    yield from _environment(step)


def _output(output: OutputComparison) -> Iterator[str]:
    aside = "" if output.needed else " (not what was asked about, nor needed for it)"
    then, now = (short(digest) if digest else "nothing" for digest in (output.recorded, output.found))
    yield f"  {output.role}: {then} then, {now} now{aside}"
    for file in output.files[:_MOST]:
        how = "only then" if file.found is None else "only now" if file.recorded is None else "differs"
        yield f"    {file.path}: {how}"
    if len(output.files) > _MOST:
        yield f"    and {len(output.files) - _MOST} more files"
    if output.metadata:
        yield f"    metadata: {', '.join(output.metadata)}"


def _environment(step: StepReproduction) -> Iterator[str]:
    for difference in step.environment[: 2 * _MOST]:
        yield f"    {difference.name}: {difference.recorded} then, {difference.found} now"
    if len(step.environment) > 2 * _MOST:
        yield f"    and {len(step.environment) - 2 * _MOST} more"
    if step.environment and step.unrecorded:
        yield f"    not on record, and so not compared: {', '.join(step.unrecorded)}"


def _the_same(unrecorded: Collection[str]) -> str:
    rest = f", as far as it is on record ({', '.join(sorted(unrecorded))} is not)" if unrecorded else ""
    return f"the environment is the same{rest}"


def _environments(answer: ReproduceAnswer) -> Iterator[str]:
    """For a model that came out the same: in spite of what, if anything."""
    changed = {
        (difference.name, difference.recorded, difference.found)
        for step in answer.steps
        for difference in step.environment
    }
    if not changed:
        yield _the_same({name for step in answer.steps for name in step.unrecorded})
        return
    yield "though this is different in the environment:"
    for name, recorded, found in sorted(changed)[: 2 * _MOST]:
        yield f"    {name}: {recorded} then, {found} now"
    if len(changed) > 2 * _MOST:
        yield f"    and {len(changed) - 2 * _MOST} more"


COMMANDS = {"reproduce": command(REPRODUCE, _show, live=live_run)}
