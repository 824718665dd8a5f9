"""Whether guards send requests to models that are there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from loresmith.nearest import unknown_name
from loresmith.serving.guards.settings import GuardsSettings


def wrong_routes(guards: GuardsSettings, served: Mapping[str, Collection[str]]) -> Iterator[tuple[int, str]]:
    """The guards whose `route` leads nowhere: their places, and what is wrong in a sentence.

    Args:
        served: the names of the models that are served, each with those of its adapters.
    """
    names = [*served, *(f"{model}:{adapter}" for model, adapters in served.items() for adapter in adapters)]
    for place, guard in enumerate(guards.root):
        if guard.route and guard.route not in names:
            what = unknown_name("served model", guard.route, names)
            yield place, f"the guard {guard.called()!r} routes to what nobody serves: {what}"


def served_names(models: Any) -> dict[str, tuple[str, ...]]:
    """The names under the key `models` as it was written, each with those of its adapters; what is none is left out."""
    found = models.items() if isinstance(models, Mapping) else ()
    return {name: tuple(_keys_of(_of(settings, "adapters"))) for name, settings in found}


def _of(settings: Any, key: str) -> Any:
    return settings.get(key) if isinstance(settings, Mapping) else None


def _keys_of(value: Any) -> Collection[str]:
    return value.keys() if isinstance(value, Mapping) else ()
