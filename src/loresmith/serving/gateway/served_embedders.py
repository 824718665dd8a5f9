"""The embedders that `/v1/embeddings` offers: those of the key `embeddings`, and that of retrieval."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loresmith.errors import UserError
from loresmith.serving.policy.resource import Resource
from loresmith.serving.retrieval.embedders.embedder import Embedder, Vectors
from loresmith.serving.settings import RETRIEVAL_EMBEDDER, EmbeddingSettings, ServingConfig

if TYPE_CHECKING:
    from loresmith.ledger import Ledger
    from loresmith.serving.retrieval.retriever import Retriever


def _one_thread() -> ThreadPoolExecutor:
    # One for each embedder: whoever embeds much holds up nobody who asks the guards or looks for passages.
    return ThreadPoolExecutor(1, thread_name_prefix="embeddings")


@dataclass(frozen=True)
class ServedEmbedder:
    """One of them.

    Attributes:
        name: by which callers ask for it.
        labels: those of the model that makes the vectors; of an index, whose vectors are not told, none.
    """

    name: str
    labels: frozenset[str]
    embedder: Embedder
    thread: ThreadPoolExecutor = field(default_factory=_one_thread)

    @property
    def resource(self) -> Resource:
        """What the policy decides about."""
        return Resource("release", self.name, self.labels, {"model": self.embedder.facts.digest})

    async def tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.thread, lambda: [self.embedder.tokens(text) for text in texts])

    async def embed(self, texts: Sequence[str]) -> list[Vectors]:
        """A vector (dimensions,) for each text. One after the other: others get their turn in between, and nothing more
        is computed for a caller who has gone."""
        loop = asyncio.get_running_loop()
        return [(await loop.run_in_executor(self.thread, self.embedder.embed, [text]))[0] for text in texts]


def open_embedders(
    config: ServingConfig, ledger: Ledger, retriever: Retriever | None, before: Mapping[str, ServedEmbedder]
) -> dict[str, ServedEmbedder]:
    """The embedders of a configuration, by name.

    Args:
        before: those that were served until now; what has not changed is not loaded again.

    Raises:
        UserError: a reference leads nowhere, or to an index without an embedder.
        Failure: one is damaged.
    """
    found = {
        name: _opened(name, settings, ledger, before.get(name)) for name, settings in sorted(config.embeddings.items())
    }
    taken = {*found, *config.models}
    if retriever is not None and retriever.embedder is not None and RETRIEVAL_EMBEDDER not in taken:
        name = RETRIEVAL_EMBEDDER
        found[name] = ServedEmbedder(name, _labels_of(retriever.embedder, ledger), retriever.embedder)
    return found


def _opened(name: str, settings: EmbeddingSettings, ledger: Ledger, before: ServedEmbedder | None) -> ServedEmbedder:
    if settings.model is not None:
        asset = ledger.assets.find(settings.model, kind="model")
        if before is not None and before.embedder.facts.digest == asset.digest:
            return ServedEmbedder(name, frozenset(asset.labels), before.embedder)
        from loresmith.serving.retrieval.embedders.model_embedder import ModelEmbedder

        directory = ledger.assets.directory(asset.digest)
        return ServedEmbedder(name, frozenset(asset.labels), ModelEmbedder(directory, asset.digest))
    assert settings.index is not None
    from loresmith.serving.retrieval.opening import open_index

    embedder = open_index(ledger, settings.index).embedder
    if embedder is None:
        raise UserError(f"the index {settings.index} has no embedder", where=f"embeddings.{name}.index")
    return ServedEmbedder(name, _labels_of(embedder, ledger), embedder)


def _labels_of(embedder: Embedder, ledger: Ledger) -> frozenset[str]:
    """The labels of a model of the workspace; files that came with an index were not made of documents."""
    if embedder.facts.kind != "model":
        return frozenset()
    return frozenset(ledger.assets.find(embedder.facts.digest).labels)
