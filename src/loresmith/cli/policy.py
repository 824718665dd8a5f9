"""`loresmith policy`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.screen import Screen, moment, short
from loresmith.sdk.calls.policy import (
    CHECK,
    EXPLAIN,
    Checked,
    CheckRequest,
    Explained,
    ExplainRequest,
)
from loresmith.sdk.calls.policy_replay import REPLAY, GuardsReplayed, Replayed, ReplayRequest


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
    since = moment(answer.since)
    if answer.digest is not None:
        over = f" ({_records(answer.passed_over)} without a decision)" if answer.passed_over else ""
        screen.line(f"{answer.requests} requests since {since}{over}: {len(answer.flips)} would turn")
        _show_policy_flips(answer, screen)
    if answer.guards is not None:
        _show_guards(answer.guards, since, screen)
    if answer.unasked:
        screen.line("its guards were not asked: say --because, since they would read what others said")


def _show_policy_flips(answer: Replayed, screen: Screen) -> None:
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


def _show_guards(guards: GuardsReplayed, since: str, screen: Screen) -> None:
    partly = f" ({guards.partly} without what was masked or refused)" if guards.partly else ""
    screen.line(f"guards read {guards.read} requests since {since}{partly}: {guards.turned} would turn")
    unread = (("no words were kept", guards.omitted), ("the key is gone", guards.gone))
    for why, count in unread:
        if count:
            screen.line(f"{_records(count)} could not be read: {why}")
    if guards.flips:
        screen.table(
            ("when", "who", "response", "was", "would be", "guard", "rule", "in", "asked for", "would ask for", ""),
            (
                (
                    moment(flip.at),
                    flip.principal,
                    flip.response,
                    flip.was,
                    flip.would,
                    rule.guard,
                    rule.rule,
                    f"{rule.where} ({rule.role})",
                    rule.was,
                    rule.would,
                    "" if rule.read else "by the record",
                )
                for flip in guards.flips
                for rule in flip.rules
            ),
        )


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"


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
