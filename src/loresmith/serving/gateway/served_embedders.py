"""The embedders that `/v1/embeddings` offers: those of the key `embeddings`, and that of retrieval.

Those of models follow what is promoted: see `MovingEmbedders`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loresmith.errors import LoresmithError, UserError
from loresmith.ledger.references import release_in
from loresmith.serving.gateway.background import as_failure, tell
from loresmith.serving.gateway.trying_again import TryingAgain
from loresmith.serving.policy.resource import Resource
from loresmith.serving.policy.served import embedder_resource
from loresmith.serving.retrieval.embedders.embedder import Embedder, EmbedderFacts, Vectors
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
        reference: by which the configuration names its model; empty for one of an index.
        index: the digest of the index that the configuration names; empty for one of a model, or of retrieval.
    """

    name: str
    labels: frozenset[str]
    embedder: Embedder
    reference: str = ""
    index: str = ""
    thread: ThreadPoolExecutor = field(default_factory=_one_thread)

    @property
    def resource(self) -> Resource:
        """What the policy decides about."""
        return embedder_resource(self.name, self.reference, self.labels, self.embedder.facts.digest)

    @property
    def facts(self) -> dict[str, str]:
        """What audit records say of it."""
        release, channel = release_in(self.reference) or ("", "")
        return {"release": release, "channel": channel, "served": self.name, "model": self.embedder.facts.digest}

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
        found[name] = ServedEmbedder(name, embedder_labels(retriever.embedder.facts, ledger), retriever.embedder)
    return found


def latest(opened: Mapping[str, ServedEmbedder], served: Mapping[str, ServedEmbedder]) -> dict[str, ServedEmbedder]:
    """What was opened; but of models that are served already, what is served: its release may have moved on since."""
    return {
        name: served[name] if one.reference and name in served and served[name].reference == one.reference else one
        for name, one in opened.items()
    }


class MovingEmbedders:
    """Looks which embedders are of another model than the one that is loaded, since a release moved on or back.

    Args:
        say: told what happens, in plain words.

    Attributes:
        problems: by the embedder's name, why what its reference leads to now is not served.
    """

    def __init__(self, ledger: Ledger, say: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._say = say
        self._trying = TryingAgain()
        self.problems: dict[str, str] = {}

    def renewed(
        self, settings: Mapping[str, EmbeddingSettings], served: Mapping[str, ServedEmbedder]
    ) -> dict[str, ServedEmbedder]:
        """Those of `served` that are to be replaced, loaded anew. What cannot be loaded changes nothing but what
        `problems` says, and is tried again when the reference leads elsewhere, or after a while: see `TryingAgain`."""
        found = {}
        of_models = {name: one for name, one in settings.items() if one.model is not None and name in served}
        for name, wanted in of_models.items():
            try:
                one = self._renewed(name, wanted, served[name])
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are looked at
                self._note(name, as_failure(error))
            else:
                if one is not None:
                    found[name] = one
        for name in self.problems.keys() - of_models.keys():
            self.problems.pop(name)
        self._trying.keep_only(of_models)
        return found

    def _renewed(self, name: str, wanted: EmbeddingSettings, served: ServedEmbedder) -> ServedEmbedder | None:
        assert wanted.model is not None
        digest = self._ledger.assets.find(wanted.model, kind="model").digest
        if digest == served.embedder.facts.digest:
            self.problems.pop(name, None)
            self._trying.forget(name)
            return None
        if self._trying.waits(name, digest):
            return None
        if not self._trying.failed(name, digest):
            self._say(f"{name}: loading {wanted.model}")
        try:
            one = _opened(name, wanted, self._ledger, None)
        except Exception:
            self._trying.note(name, digest)
            raise
        self._trying.forget(name)
        self.problems.pop(name, None)
        self._say(f"{name}: embedding with {digest[:12]}")
        return one

    def _note(self, name: str, error: LoresmithError) -> None:
        if self.problems.get(name) != str(error):
            self.problems[name] = str(error)
            tell(self._say, f"{name}: {error.what}; what was served before still is", error)


def _opened(name: str, settings: EmbeddingSettings, ledger: Ledger, before: ServedEmbedder | None) -> ServedEmbedder:
    if settings.model is not None:
        if before is not None and before.reference == settings.model:
            return before  # where its release has moved on, that follows by itself, and holds up no other change
        asset = ledger.assets.find(settings.model, kind="model")
        from loresmith.serving.retrieval.embedders.model_embedder import ModelEmbedder

        directory = ledger.assets.directory(asset.digest)
        return ServedEmbedder(
            name, frozenset(asset.labels), ModelEmbedder(directory, asset.digest), reference=settings.model
        )
    assert settings.index is not None
    from loresmith.serving.retrieval.opening import KIND, open_index

    digest = ledger.assets.find(settings.index, kind=KIND).digest
    if before is not None and before.index == digest:
        return before
    embedder = open_index(ledger, digest).embedder
    if embedder is None:
        raise UserError(f"the index {settings.index} has no embedder", where=f"embeddings.{name}.index")
    return ServedEmbedder(name, embedder_labels(embedder.facts, ledger), embedder, index=digest)


def embedder_labels(facts: EmbedderFacts, ledger: Ledger) -> frozenset[str]:
    """The labels of a model of the workspace; files that came with an index were not made of documents."""
    return frozenset(ledger.assets.find(facts.digest).labels) if facts.kind == "model" else frozenset()
