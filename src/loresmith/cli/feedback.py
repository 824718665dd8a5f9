"""`loresmith feedback`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.screen import Screen, short
from loresmith.sdk.calls.feedback import COLLECT, CollectAnswer, CollectRequest


def _show(answer: CollectAnswer, _request: CollectRequest, screen: Screen) -> None:
    made = ", ".join(f"{count:,} of a {kind}" for kind, count in answer.records.items())
    screen.line(f"dataset {short(answer.digest)} (feedback/collect): {made}")
    for reason, count in answer.left_out.items():
        screen.line(f"left out {count:,}: {reason}")
    if answer.quarantined:
        screen.line(f"quarantined {answer.quarantined:,}: `loresmith books {answer.run}` says why")
    if answer.labels:
        screen.line(f"labels: {', '.join(answer.labels)}")


COMMANDS = {
    "feedback": noun("feedback", "Feedback on answers: make a dataset to learn from of it.", command(COLLECT, _show))
}
