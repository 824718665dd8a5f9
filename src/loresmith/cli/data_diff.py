"""`loresmith data diff`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.screen import Screen, figure, short, size, visible
from loresmith.sdk.calls.data_diff import DATA_DIFF, ChangedDocument, DataDiffAnswer, DataDiffRequest

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": ">", "relabelled": "!"}


def _show(answer: DataDiffAnswer, _request: DataDiffRequest, screen: Screen) -> None:
    before, after = answer.documents
    sizes = " -> ".join(size(each) for each in answer.bytes)
    screen.line(f"{short(answer.before)} -> {short(answer.after)}: {before:,} -> {after:,} documents, {sizes}")
    said = ", ".join(f"{group.documents:,} {group.change} ({size(group.bytes)})" for group in answer.changes)
    screen.line(f"{answer.same:,} the same; {said or 'nothing changed'}")
    for group in answer.changes:
        screen.line()
        screen.line(f"{group.change}: {len(group.first):,} of {group.documents:,}", style="bold")
        for document in group.first:
            screen.line(f"{_SIGNS[group.change]} {visible(document.path)}{_what(document)}")
            for line in document.difference:
                screen.line(f"    {visible(line)}", style={"+": "green", "-": "red"}.get(line[:1]))
    if answer.counts:
        screen.line()
        screen.table(
            ("by", "value", "documents", "", "bytes", ""),
            (
                (each.column, visible(each.value), *(f"{n:,}" for n in each.documents), *map(size, each.bytes))
                for each in answer.counts
            ),
            right=("documents", "", "bytes"),
        )
    if answer.scores:
        screen.line()
        screen.table(
            ("score", "documents", "", "10 %, 50 %, 90 % before", "after"),
            (
                (visible(each.name), *(f"{n:,}" for n in each.documents), _points(each.before), _points(each.after))
                for each in answer.scores
            ),
            right=("documents", ""),
        )


def _what(document: ChangedDocument) -> str:
    """What is not the same before and after."""
    said = []
    if len(document.splits) > 1:
        said.append(" -> ".join(document.splits))
    if len(document.bytes) > 1:
        said.append(" -> ".join(map(size, document.bytes)))
    if len(document.labels) > 1:
        said.append(" -> ".join(", ".join(labels) or "no labels" for labels in document.labels))
    return f"  {'; '.join(said)}" if said else ""


def _points(points: tuple[float, float, float] | None) -> str:
    return ", ".join(map(figure, points)) if points is not None else "none"


DIFF = command(DATA_DIFF, _show)
