"""`loresmith index`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.live import live_run
from loresmith.cli.screen import Screen, short, visible
from loresmith.sdk.calls.index import (
    INDEX_BUILD,
    INDEX_SEARCH,
    FoundPassage,
    IndexBuildAnswer,
    IndexBuildRequest,
    IndexSearchAnswer,
    IndexSearchRequest,
)

_SHOWN = 300
"""Characters of a passage that are shown; `--json` has all."""


def _show_built(answer: IndexBuildAnswer, _request: IndexBuildRequest, screen: Screen) -> None:
    screen.line(f"index {short(answer.index)}, found as {answer.reference}", style="bold")
    screen.line(f"vectors: {answer.embedder}" if answer.embedder else "no vectors: passages are found by words alone")
    screen.line()
    screen.table(
        ("labels", "documents", "passages"),
        ((", ".join(each.labels) or "none", f"{each.documents:,}", f"{each.passages:,}") for each in answer.partitions),
        right=("documents", "passages"),
    )
    for left in answer.left_out:
        screen.line(f"{left.documents:,} documents left out: {left.reason}")


def _show_found(answer: IndexSearchAnswer, _request: IndexSearchRequest, screen: Screen) -> None:
    if not answer.passages:
        screen.line("nothing was found that these labels may see")
    for passage in answer.passages:
        if passage.number > 1:
            screen.line()
        screen.line(_place(passage), style="bold")
        text = " ".join(passage.text.split())
        screen.line(visible(text[:_SHOWN] + ("..." if len(text) > _SHOWN else "")))


def _place(passage: FoundPassage) -> str:
    pages = f", page {', '.join(map(str, passage.pages))}" if passage.pages else ""
    labels = f" [{', '.join(passage.labels)}]" if passage.labels else ""
    near = f", cosine {passage.cosine:.2f}" if passage.cosine is not None else ""
    bytes_ = f"bytes {passage.byte_start}-{passage.byte_end}"
    return visible(f"{passage.number}. {passage.path}{pages}, {bytes_}{near}{labels}")


COMMANDS = {
    "index": noun(
        "index",
        "Indexes of passages: build one of a corpus, look for passages.",
        command(INDEX_BUILD, _show_built, live=live_run),
        command(INDEX_SEARCH, _show_found),
    ),
}
