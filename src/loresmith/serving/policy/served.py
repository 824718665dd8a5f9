"""What a served name is to policies: the release behind it, by the release's own name.

Under which names a gateway serves is its own affair, and may differ from one gateway to the next. Policies, audit
records, `policy explain` and `policy replay` speak of releases, so that a rule holds wherever a release is served.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from loresmith.ledger.references import release_in
from loresmith.serving.policy.check import Problem, named, refuse
from loresmith.serving.policy.resource import Resource
from loresmith.serving.policy.statements import Statement
from loresmith.serving.settings import EmbeddingSettings, ServedModelSettings

SEPARATOR = ":"
"""Between the name of a model, or of its release, and that of an adapter on it."""


def model_resource(
    settings: ServedModelSettings, labels: frozenset[str], adapter: str | None = None, model: str = ""
) -> Resource:
    """What a policy decides about when a served model is asked.

    Args:
        labels: of the model, and of the adapter.
        adapter: its name under `adapters`; None for the model as it is.
        model: the digest that the release points at, where it is known.
    """
    attributes = {"channel": settings.channel, **({"model": model} if model else {})}
    if adapter is None:
        return Resource("release", settings.release, labels, attributes)
    return Resource("adapter", f"{settings.release}{SEPARATOR}{adapter}", labels, attributes)


def embedder_resource(name: str, reference: str, labels: frozenset[str], model: str = "") -> Resource:
    """What a policy decides about when a served embedder is asked; one that is of no release goes by its own name.

    Args:
        name: under which it is served.
        reference: by which the configuration names its model; empty for the embedder of an index.
        model: the digest of what makes the vectors, where it is known.
    """
    release, channel = release_in(reference) or (name, "")
    given = {"channel": channel, "model": model}
    return Resource("release", release, labels, {key: value for key, value in given.items() if value})


def release_names(
    models: Mapping[str, ServedModelSettings], embeddings: Mapping[str, EmbeddingSettings]
) -> dict[str, str]:
    """The names that are served, and for each the name by which policies speak of it."""
    embedders = {name: release_in(settings.model or "") or (name, "") for name, settings in embeddings.items()}
    of_models = {name: settings.release for name, settings in models.items()}
    return of_models | {name: release for name, (release, _) in embedders.items()}


def misnamed(statements: Iterable[Statement], names: Mapping[str, str]) -> Iterator[Problem]:
    """Policies that mean a model by the name under which it is served, where its release has another: they would hold
    for nothing.

    Args:
        names: see `release_names`.
    """
    for statement in statements:
        for kind in ("Release", "Adapter"):
            for name in named(kind, statement.tree):
                base, separator, adapter = name.partition(SEPARATOR)
                if base in names and base not in names.values():
                    yield Problem(
                        statement.where,
                        f"{base!r} is a name under which something is served, and policies speak of releases by their "
                        f'own names: write {kind}::"{names[base]}{separator}{adapter}"',
                    )


def require_release_names(statements: Iterable[Statement], names: Mapping[str, str]) -> None:
    """Raise UserError, with file and line, for policies that are `misnamed`."""
    if problems := list(misnamed(statements, names)):
        raise refuse(problems)
