"""`loresmith guards`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.live import live_run
from loresmith.cli.screen import Screen, short, visible
from loresmith.sdk.calls.guards import (
    GUARDS_CHECK,
    GUARDS_TRAIN,
    GuardsCheckAnswer,
    GuardsCheckRequest,
    GuardsTrainAnswer,
    GuardsTrainRequest,
)


def _show_check(answer: GuardsCheckAnswer, _request: GuardsCheckRequest, screen: Screen) -> None:
    said = {"route": f"route to {answer.route}", "ask": "ask a person"}.get(answer.action, answer.action)
    screen.line(said, style="bold")
    if answer.message:
        screen.line(visible(answer.message))
    if answer.verdicts:
        screen.table(
            ("guard", "rule", "asks for", "times", "characters"),
            (
                (each.guard, each.rule, each.action, str(each.count), ", ".join(map(str, each.lengths)))
                for each in answer.verdicts
            ),
            right=("times",),
        )
    if answer.text is not None and answer.action == "redact":
        screen.line()
        screen.line(visible(answer.text))
    screen.line(f"by the guards {short(answer.digest)}", style="dim")


def _show_trained(answer: GuardsTrainAnswer, _request: GuardsTrainRequest, screen: Screen) -> None:
    screen.line(f"classifier {short(answer.guard)}, found as {answer.reference}", style="bold")
    screen.line(f"learnt from {answer.examples:,} examples; on those that it did not learn from:")
    screen.table(
        ("topic", "examples", "precision", "recall", "from"),
        (
            (each.topic, f"{each.examples:,}", f"{each.precision:.3f}", f"{each.recall:.3f}", f"{each.threshold:.2f}")
            for each in answer.topics
        ),
        right=("examples", "precision", "recall", "from"),
    )


COMMANDS = {
    "guards": noun(
        "guards",
        "Guards: try them on a text, teach one a topic.",
        command(GUARDS_CHECK, _show_check),
        command(GUARDS_TRAIN, _show_trained, live=live_run),
    ),
}
