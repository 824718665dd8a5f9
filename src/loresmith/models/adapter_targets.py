"""Which matrices of a model an adapter is for, found by looking at the model and not at a list of names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loresmith.errors import UserError
from loresmith.models.adapter_settings import AdapterSettings
from loresmith.models.linear_maps import LINEAR_MAPS
from loresmith.nearest import unknown_name

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Targets:
    """Whole names, in the model's order.

    Attributes:
        modules: linear maps.
        parameters: matrices of experts, stacked along their first dimension.
    """

    modules: tuple[str, ...]
    parameters: tuple[str, ...]


def linear_maps(model: PreTrainedModel) -> tuple[str, ...]:
    """Every linear map of a model but its head, which is the output embedding."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return tuple(
        name for name, module in model.named_modules() if isinstance(module, LINEAR_MAPS) and module is not head
    )


def stacked_experts(model: PreTrainedModel) -> tuple[str, ...]:
    """The parameters (experts, rows, columns) in which a mixture keeps the matrices of a layer's experts."""
    return tuple(
        f"{owner}.{name}"
        for owner, module in model.named_modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim == 3 and getattr(module, "num_experts", None) == parameter.shape[0]
    )


def choose_targets(model: PreTrainedModel, settings: AdapterSettings) -> Targets:
    """The matrices that these settings mean in this model.

    Raises:
        UserError: a name that the model does not have, or experts with settings that peft cannot give them.
    """
    maps, experts = linear_maps(model), stacked_experts(model)
    if settings.target_modules is not None:
        for wanted in settings.target_modules:
            if not _ending([*maps, *experts], [wanted]):
                known = {name.rpartition(".")[2] for name in (*maps, *experts)}
                raise UserError(unknown_name("linear map", wanted, known), where="adapter.target_modules")
        maps, experts = _ending(maps, settings.target_modules), _ending(experts, settings.target_modules)
    if experts:
        _require_plain(settings, experts[0], linear_maps(model))
    return Targets(maps, experts)


def shortened(names: Iterable[str], everything: Iterable[str]) -> list[str]:
    """The last parts of the names where they mean nothing else among `everything`, or the whole names, sorted."""
    whole = set(names)
    last = {name.rpartition(".")[2] for name in whole}
    return sorted(last if set(_ending(everything, last)) == whole else whole)


def _ending(names: Iterable[str], ends: Iterable[str]) -> tuple[str, ...]:
    """The names that are one of the ends or end with it, as peft matches them."""
    wanted = frozenset(ends)
    return tuple(name for name in names if name in wanted or any(name.endswith(f".{end}") for end in wanted))


def _require_plain(settings: AdapterSettings, experts: str, maps: Iterable[str]) -> None:
    """peft adds an expert's update to its matrix before the product: the input is out of its reach, and so is bnb."""
    asked = {
        "the variant dora": settings.variant == "dora",
        f"a dropout of {settings.dropout}": settings.dropout > 0,
        "quantise_base": settings.quantise_base,
    }
    if impossible := [what for what, given in asked.items() if given]:
        names = ", ".join(sorted({name.rpartition(".")[2] for name in maps}))
        raise UserError(
            f"peft cannot give the experts of a mixture ({experts}) {' or '.join(impossible)}",
            where="adapter",
            hint=f"leave that out, or adapt the other linear maps only: `target_modules: [{names}]`",
        )
