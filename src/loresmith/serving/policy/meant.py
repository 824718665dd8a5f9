"""What a person means by `--model`: a name that a configuration serves, or a reference to something of the ledger.

Either way it becomes the resource that a gateway with this configuration decides about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError
from loresmith.ledger.references import release_in
from loresmith.serving.policy.resource import Resource
from loresmith.serving.policy.served import SEPARATOR, embedder_resource, model_resource
from loresmith.serving.retrieval.settings import RetrievalSettings
from loresmith.serving.settings import RETRIEVAL_EMBEDDER, EmbeddingSettings, ModelName, ServedModelSettings
from loresmith.validation import validate
from loresmith.yaml_lines import Mapped

if TYPE_CHECKING:
    from loresmith.ledger import Asset, Ledger


class Served(BaseModel):
    """The keys of a serving configuration that say what is served; all may be missing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    models: Mapping[ModelName, ServedModelSettings] = Field(default={})
    embeddings: Mapping[ModelName, EmbeddingSettings] = Field(default={})
    retrieval: RetrievalSettings | None = None

    @classmethod
    def read(cls, written: Mapped) -> Served:
        """Those of a configuration. Raises UserError for what is wrong with them."""
        return validate(cls, written.data, written.lines, written.source)

    @property
    def embedders(self) -> dict[str, EmbeddingSettings]:
        """By their names, that of retrieval among them."""
        found = dict(self.embeddings)
        if self.retrieval is not None and RETRIEVAL_EMBEDDER not in {*found, *self.models}:
            found[RETRIEVAL_EMBEDDER] = EmbeddingSettings(index=self.retrieval.index)
        return found


def labelled(name: str, served: Served, labels: frozenset[str]) -> Resource:
    """What a name or `release@channel` means, with labels that are given: no ledger is asked."""
    base, _, adapter = name.partition(SEPARATOR)
    if base in served.models:
        return model_resource(served.models[base], labels, adapter or None)
    if name in served.embedders:
        return embedder_resource(name, served.embedders[name].model or "", labels)
    release, channel = release_in(name) or (name, "")
    return Resource("adapter" if adapter else "release", release, labels, {"channel": channel or "production"})


def meant(name: str, served: Served, ledger: Ledger) -> Resource:
    """What a name or a reference means, with the labels that the ledger knows.

    Raises:
        UserError: it means nothing, or more than one thing.
    """
    base, separator, adapter = name.partition(SEPARATOR)
    if base in served.models and (not separator or adapter in served.models[base].adapters):
        return _of_model(served.models[base], adapter or None, ledger)
    if name in served.embedders:
        return _of_embedder(name, served.embedders[name], ledger)
    asset = ledger.assets.find(name)
    if asset.kind == "adapter":
        return _of_adapter(name, asset, served, ledger)
    attributes = {"model": asset.digest}
    release, channel = release_in(name) or (name, "")
    if release_in(name) is not None:
        attributes["channel"] = channel or (
            "production" if ledger.releases.target(release, "production") else "candidate"
        )
    return Resource("release", release, frozenset(asset.labels), attributes)


def _of_model(settings: ServedModelSettings, adapter: str | None, ledger: Ledger) -> Resource:
    model = ledger.assets.find(f"{settings.release}@{settings.channel}", kind="model")
    labels = frozenset(model.labels)
    if adapter is not None:
        labels |= frozenset(ledger.assets.find(settings.adapters[adapter], kind="adapter").labels)
    return model_resource(settings, labels, adapter, model.digest)


def _of_embedder(name: str, settings: EmbeddingSettings, ledger: Ledger) -> Resource:
    if settings.model is not None:
        asset = ledger.assets.find(settings.model, kind="model")
        return embedder_resource(name, settings.model, frozenset(asset.labels), asset.digest)
    from loresmith.serving.retrieval.layout import read_facts

    assert settings.index is not None
    index = ledger.assets.find(settings.index, kind="index")
    facts = read_facts(ledger.assets.directory(index.digest)).embedder
    if facts is None:
        raise UserError(f"the index {settings.index} has no embedder", where=f"--model {name}")
    labels = ledger.assets.find(facts.digest).labels if facts.kind == "model" else ()
    return embedder_resource(name, "", frozenset(labels), facts.digest)


def _of_adapter(name: str, asset: Asset, served: Served, ledger: Ledger) -> Resource:
    """An adapter is asked for on a model: which, the configuration says; else it goes by its own name."""
    on = [
        (base, key)
        for base, settings in served.models.items()
        for key, reference in settings.adapters.items()
        if _is(asset, reference, ledger)
    ]
    if len(on) > 1:
        named = ", ".join(SEPARATOR.join(each) for each in on)
        raise UserError(f"{name} is served more than once", where="--model", hint=f"name one of {named}")
    if on:
        base, key = on[0]
        return _of_model(served.models[base], key, ledger)
    release, _ = release_in(name) or (name, "")
    return Resource("adapter", release, frozenset(asset.labels))


def _is(asset: Asset, reference: str, ledger: Ledger) -> bool:
    """Whether a reference of the configuration leads to an asset; one that leads nowhere does not."""
    try:
        return ledger.assets.find(reference).digest == asset.digest
    except UserError:
        return False
