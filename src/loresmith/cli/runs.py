"""`loresmith runs`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.live import live_run
from loresmith.cli.screen import Screen, duration, figure, moment, short, size
from loresmith.ledger.books import Account
from loresmith.sdk.calls.runs import LS, SHOW, WATCH, ListRequest, RunDetail, RunList
from loresmith.sdk.step_states import StepState


def _show_list(answer: RunList, _request: ListRequest, screen: Screen) -> None:
    if not answer.runs:
        screen.line("no runs yet; `loresmith run` makes the first")
        return
    screen.table(
        ("run", "recipe", "status", "started", "time", "by"),
        (
            (run.id, run.recipe, run.status, moment(run.started_at), duration(run.seconds), run.actor)
            for run in answer.runs
        ),
        right=("time",),
    )


def show_detail(answer: RunDetail, screen: Screen) -> None:
    """A run with its steps."""
    took = f" in {duration(answer.seconds)}" if answer.seconds is not None else ""
    screen.line(f"run {answer.id} of {answer.recipe}: {answer.status}{took}")
    screen.line(f"started {moment(answer.started_at)} by {answer.actor}; logs in {answer.folder}")
    screen.line()
    screen.table(("step", "kind", "state", "time", "memory", "outputs"), map(_row, answer.steps), ("time", "memory"))
    accounts = [(step.name, account) for step in answer.steps if step.books for account in step.books.accounts]
    if accounts:
        screen.line()
        screen.table(
            ("books", "unit", "entered", "kept", "otherwise"),
            (
                (step, account.unit, f"{account.entered:,}", f"{account.kept:,}", _rest(account))
                for step, account in accounts
            ),
            right=("entered", "kept"),
        )
    numbers = [
        (step.name, name, figure(value))
        for step in answer.steps
        for name, value in step.numbers.items()
        if value is not None
    ]
    if numbers:
        screen.line()
        screen.table(("numbers", "name", "last"), numbers, right=("last",))
    for step in answer.steps:
        if step.gone is not None:
            screen.line()
            screen.line(f"{step.name}: files that were read before and are gone: {step.gone.files:,}")
            for path in step.gone.first:
                screen.line(f"  {path}")
        if step.cause is not None:
            screen.line()
            place = f"{step.cause.where}: " if step.cause.where else ""
            screen.line(f"{step.name} failed: {place}{step.cause.what}")
            if step.cause.hint:
                screen.line(f"  {step.cause.hint}")
    if answer.status == "interrupted" and answer.cause is not None:
        screen.line()
        place = f"{answer.cause.where}: " if answer.cause.where else ""
        screen.line(f"interrupted: {place}{answer.cause.what}")
    if answer.release is not None and answer.status == "completed":
        screen.line()
        screen.line(f"{answer.release.asset} is {answer.release.name}@{answer.release.channel}")
    if answer.status in ("failed", "interrupted"):
        screen.line()
        screen.line(f"`loresmith run --resume {answer.id}` goes on from there")


def _row(step: StepState) -> tuple[str, ...]:
    outputs = ", ".join(f"{role} {short(digest)}" for role, digest in step.outputs.items())
    memory = size(step.peak_bytes) if step.peak_bytes is not None else ""
    return (step.name, step.step, step.state, duration(step.seconds), memory, outputs)


def _rest(account: Account) -> str:
    """Where that went which was not kept."""
    left = [entry for entry in account.left if entry.disposition != "kept" and entry.count]
    return ", ".join(
        f"{entry.count:,} {entry.disposition}{f' ({entry.reason})' if entry.reason else ''}" for entry in left
    )


COMMANDS = {
    "runs": noun(
        "runs",
        "Runs: list, show, watch.",
        command(LS, _show_list),
        command(SHOW, lambda answer, _request, screen: show_detail(answer, screen)),
        command(WATCH, lambda answer, _request, screen: show_detail(answer, screen), live=live_run),
    )
}
