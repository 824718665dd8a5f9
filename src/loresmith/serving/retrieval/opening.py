"""An index of a workspace, opened with the embedder that made it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from loresmith.errors import UserError
from loresmith.ledger import Ledger
from loresmith.ledger.erasures import effect_of
from loresmith.serving.retrieval.layout import read_facts
from loresmith.serving.retrieval.retriever import Retriever

KIND = "index"


def open_index(ledger: Ledger, reference: str, threads: int = 1, today: Callable[[], date] | None = None) -> Retriever:
    """The retriever of an `index` asset.

    Args:
        reference: to the asset, as `ledger.assets.find` takes it.
        threads: CPU threads for one question.
        today: the day, by which documents are left out that may not be kept any more.

    Raises:
        UserError: there is no such index, something of it was erased, or its embedder is not here.
        Failure: it is damaged.
    """
    asset = ledger.assets.find(reference, kind=KIND)
    directory = ledger.assets.directory(asset.digest)
    facts = read_facts(directory)

    def erased() -> bool:
        return effect_of(ledger.erasures.marks().get(asset.digest, ())) == "erased"

    if facts.embedder is None or facts.embedder.kind == "onnx":
        return Retriever.open(directory, threads=threads, today=today, asset=asset.digest, erased=erased)
    from loresmith.serving.retrieval.embedders.model_embedder import ModelEmbedder

    try:
        model = ledger.assets.directory(facts.embedder.digest)
    except UserError as error:
        raise UserError(
            f"the model that made the vectors of this index is not here: {error.what}", where=reference, hint=error.hint
        ) from None
    embedder = ModelEmbedder(model, facts.embedder.digest)
    return Retriever.open(directory, embedder, today=today, asset=asset.digest, erased=erased)
