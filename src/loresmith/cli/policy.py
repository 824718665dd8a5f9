"""`loresmith policy`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.screen import Screen, moment, short
from loresmith.sdk.calls.policy import (
    CHECK,
    EXPLAIN,
    REPLAY,
    Checked,
    CheckRequest,
    Explained,
    ExplainRequest,
    Replayed,
    ReplayRequest,
)


def _show_checked(answer: Checked, request: CheckRequest, screen: Screen) -> None:
    if answer.problems:
        for problem in answer.problems:
            screen.line(f"{problem.where}: {problem.what}")
        return
    screen.table(("policy", "effect", "where"), ((one.id, one.effect, one.where) for one in answer.policies))
    screen.line(f"sound; digest {short(answer.digest or '')}")
    if request.matrix:
        screen.line()
        screen.table(
            ("caller", "in", "action", "resource", "labels", "", "by"),
            (
                (
                    row.principal,
                    ", ".join(row.groups),
                    row.action,
                    row.resource,
                    ", ".join(row.labels),
                    _verdict(row.allowed),
                    ", ".join(row.policies),
                )
                for row in answer.matrix
            ),
        )


def _show_explained(answer: Explained, request: ExplainRequest, screen: Screen) -> None:
    screen.line(
        f"{_verdict(answer.allowed)}: {answer.principal} may {'' if answer.allowed else 'not '}{request.action}"
    )
    screen.line(answer.why)
    screen.facts(
        (
            ("groups", ", ".join(answer.groups) or "none"),
            ("holds", ", ".join(answer.held) or "no labels"),
            (answer.resource, f"carries {', '.join(answer.labels) or 'no labels'}"),
        )
    )
    for policy in answer.policies:
        screen.line()
        screen.line(policy.text)


def _show_replayed(answer: Replayed, _request: ReplayRequest, screen: Screen) -> None:
    records = "1 record" if answer.passed_over == 1 else f"{answer.passed_over} records"
    over = f" ({records} without a decision)" if answer.passed_over else ""
    screen.line(f"{answer.requests} requests since {moment(answer.since)}{over}: {len(answer.flips)} would turn")
    if answer.flips:
        screen.table(
            ("when", "who", "action", "resource", "was", "would be", "because", "response"),
            (
                (
                    moment(flip.at),
                    flip.principal,
                    flip.action,
                    flip.resource,
                    _verdict(flip.was_allowed),
                    _verdict(flip.allowed),
                    flip.why,
                    flip.response,
                )
                for flip in answer.flips
            ),
        )


def _verdict(allowed: bool) -> str:
    return "allowed" if allowed else "denied"


COMMANDS = {
    "policy": noun(
        "policy",
        "The gateway's policy: check it, explain a decision, replay the audit.",
        command(CHECK, _show_checked),
        command(EXPLAIN, _show_explained),
        command(REPLAY, _show_replayed),
    )
}
