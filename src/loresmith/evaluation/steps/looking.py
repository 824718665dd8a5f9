"""What the steps of this room have in common: how they show where they are, and their books."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from loresmith.factory.step import StepContext
from loresmith.ledger.books import Account, Books, Entry

NOT_ALLOWED = "not allowed: evaluate"


def looker(context: StepContext, unit: str) -> Callable[[int, int], None]:
    """Called with what is done and all there is; leaves the step when a stop was asked for."""

    def look(done: int, total: int) -> None:
        context.progress(done, total, unit)
        if context.stop_requested():
            context.stopped()

    return look


def sample_books(sample: Any, rows: Iterable[Mapping[str, Any]]) -> Books:
    """What was scored, counted from the scores, beside what the sample left out, counted when it was drawn."""
    scored = {row["id"]: row["bytes"] for row in rows if row["kind"] == "document"}

    def account(unit: str, kept: int, chosen: int, refused: int, entered: int) -> Account:
        entries = [Entry(disposition="kept", reason="", count=kept)]
        if refused:
            entries.append(Entry(disposition="dropped", reason=NOT_ALLOWED, count=refused))
        if chosen + refused < entered:
            reason = "beyond max_documents or max_bytes"
            entries.append(Entry(disposition="dropped", reason=reason, count=entered - chosen - refused))
        return Account(unit=unit, entered=entered, left=tuple(entries))

    return Books(
        accounts=(
            account("documents", len(scored), sample.documents, sample.not_allowed_documents, sample.of_documents),
            account("bytes", sum(scored.values()), sample.bytes, sample.not_allowed_bytes, sample.of_bytes),
        )
    )
