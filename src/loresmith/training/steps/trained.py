"""What every training step makes: a model or an adapter, and the books."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from loresmith.factory.step import Check, Made, Output, Result
from loresmith.training.loop_settings import LoopSettings

if TYPE_CHECKING:
    from loresmith.training.saving import Saved

TRAINED = {
    "model": Output("model", "A Hugging Face model directory with its tokenizer.", optional=True),
    "adapter": Output("adapter", "A PEFT adapter directory, where the settings ask for one.", optional=True),
    "books": Output("report", "What became of every token of every document (documents.parquet)."),
}


def join() -> AbstractContextManager[None]:
    """Join the other processes that train the same model."""
    from loresmith.training.parallel import joined_ranks

    return joined_ranks()


def makes(config: LoopSettings) -> frozenset[str]:
    """The outputs of `TRAINED` that these settings ask for."""
    return frozenset({"model" if config.adapter is None else "adapter"})


def trained_result(saved: Saved | None) -> Result:
    """What was saved, as the factory takes it; nothing, from the processes that have saved nothing."""
    if saved is None:
        return Result(outputs={})
    return Result(
        outputs={saved.role: Made(saved.directory, saved.facts), "books": Made(saved.books_directory)},
        books=saved.books,
        checks=(Check(saved.role, "export-parity", saved.parity.passed, saved.parity.evidence()),),
    )
