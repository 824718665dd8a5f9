"""`loresmith traffic`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.screen import Screen, short
from loresmith.sdk.calls.traffic import SAMPLE, SampleAnswer, SampleRequest


def _show(answer: SampleAnswer, _request: SampleRequest, screen: Screen) -> None:
    screen.line(f"dataset {short(answer.digest)}: {answer.rows:,} of {answer.requests:,} requests")
    screen.line(f"from {answer.strata:,} strata of a release, an hour and an outcome each")
    if answer.labels:
        screen.line(f"labels: {', '.join(answer.labels)}")


COMMANDS = {
    "traffic": noun(
        "traffic", "The endpoint's traffic: make a dataset of the sample that is kept of it.", command(SAMPLE, _show)
    )
}
