"""`loresmith data export`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.screen import Screen, short, size
from loresmith.sdk.calls.data_export import DATA_EXPORT, DataExportAnswer, DataExportRequest


def _show(answer: DataExportAnswer, _request: DataExportRequest, screen: Screen) -> None:
    what = "conversations" if answer.kind == "dataset" else "documents"
    screen.line(f"{answer.rows:,} {what} of {short(answer.digest)}, {size(answer.bytes)} of text, in {answer.to}")
    screen.line(f"what they are: {answer.manifest}")
    if answer.labels:
        carried = ", ".join(f"{label} ({answer.labels_of_rows.get(label, 0):,} {what})" for label in answer.labels)
        screen.line(f"labels: {carried}. They hold for these files, too, which Loresmith no longer guards.")


EXPORT = command(DATA_EXPORT, _show)
