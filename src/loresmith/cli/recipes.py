"""`loresmith plan` and `loresmith run`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.live import live_run
from loresmith.cli.runs import show_detail
from loresmith.cli.screen import Screen, duration, plain, short, size
from loresmith.factory.planned import PlannedStep
from loresmith.sdk.calls.recipes import PLAN, RUN, PlanAnswer, PlanRequest


def _show_plan(answer: PlanAnswer, _request: PlanRequest, screen: Screen) -> None:
    plan = answer.plan
    screen.line(f"plan {short(plan.digest)} of {plan.recipe}, seed {plan.seed}")
    screen.line()
    columns = ("step", "kind", "state", "time", "memory", "output", "forecast")
    screen.table(columns, map(_row, plan.steps), right=("time", "memory", "output"))
    for step in plan.steps:
        screen.line()
        screen.line(f"{step.name} ({step.step}, version {step.version})")
        inputs = [
            (role, f"{source.step}.{source.output}" if source.step else f"{source.reference} = {source.asset}")
            for role, source in step.inputs.items()
        ]
        settings = [(key, plain(value)) for key, value in step.resolved_config().items()]
        screen.facts((f"  {name}", value) for name, value in (*inputs, *settings))
    screen.line()
    guess = ", part of it a guess for want of past runs here" if answer.guessed else ""
    screen.line(f"{answer.cached} cached, {answer.to_do} to do: about {duration(answer.seconds)}{guess}")
    if plan.release is not None:
        screen.line(f"then {plan.release.asset} becomes {plan.release.name}@{plan.release.channel}")
    if answer.written is not None:
        screen.line(f"written to {answer.written}; `loresmith run {answer.written}` carries it out")


def _row(step: PlannedStep) -> tuple[str, ...]:
    expected = step.forecast
    if expected is None:
        return (step.name, step.step, step.state, "", "", "", "")
    runs = f"{expected.runs} past run{'s' if expected.runs != 1 else ''}"
    return (
        step.name,
        step.step,
        step.state,
        duration(expected.seconds),
        size(expected.peak_bytes),
        size(expected.output_bytes),
        runs if expected.basis == "measured" else "guess",
    )


COMMANDS = {
    "plan": command(PLAN, _show_plan),
    "run": command(RUN, lambda answer, _request, screen: show_detail(answer, screen), live=live_run),
}
