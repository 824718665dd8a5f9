"""Which code computes a model: the fast path, the generic one, or one request at a time.

Each path is taken only where it computes, on a few tokens in two pieces, what transformers computes on them at once.
Whether it does so in long texts too is what the parity receipt is about; but models with a state of their own, which
read a long text by other code than a short one, are tried with a long one too.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NotRequired, TypedDict, TypeVar

import torch
from torch import Tensor

from loresmith.errors import UserError
from loresmith.models.base_parity import TOLERANCE
from loresmith.models.storage import embedding_rows
from loresmith.serving.engines.embedded.fast_network import FAMILIES, FastNetwork
from loresmith.serving.engines.embedded.generic_network import GenericNetwork
from loresmith.serving.engines.embedded.layout import Layout, Segment
from loresmith.serving.engines.embedded.network import Network
from loresmith.serving.engines.embedded.solo_network import SoloNetwork

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TRIAL = 28
"""Tokens of the trial."""

SINGLE = 6
"""The last of them are steps of their own, where a state of some tokens' length is carried on."""

SINGLE_SLOTS = 2
"""The same over slots: the first step looks up what a prompt has left there, the second one what a step has."""

LONG = 300
"""Tokens of a long text: more than the chunks of 64 to 256 that recurrent families read at a time."""

_FAILURES = (
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)
"""What transformers' code raises for a model that it cannot compute in some way."""


class _Way(TypedDict):
    """How `SoloNetwork` asks."""

    remembers: bool
    autocast: NotRequired[bool]


Load = Callable[[], "PreTrainedModel"]

_Network = TypeVar("_Network", bound=Network)


def network_for(load: Load, slots: int, window: int) -> Network:
    """The fastest path that computes the model which `load` loads.

    Args:
        load: called once for each path that is tried, since a path changes its model.

    Raises:
        UserError: transformers itself cannot compute the model in the precision that it is loaded in.
        torch.OutOfMemoryError: the device has no room for it.
    """
    model = load()
    longest = min(LONG, window)
    try:
        expected_TV = _expected(model)
    except torch.OutOfMemoryError:
        raise
    except _FAILURES as error:
        return _one_by_one(model, None, longest, error)
    if model.config.model_type in FAMILIES:
        fast = _tried(partial(FastNetwork, model, slots, window), expected_TV, model)
        if fast is not None:
            fast.let_go(model)
            return fast
    generic = _tried(partial(GenericNetwork, model, slots, window), expected_TV, model)
    if generic is not None:
        return generic
    del model  # two have no room
    gc.collect()  # a model and its generic network know each other
    return _one_by_one(load(), expected_TV, longest)


def _tried(make: Callable[[], _Network], expected_TV: Tensor, model: PreTrainedModel) -> _Network | None:
    """A network, if it computes what transformers computes."""
    try:
        network = make()
        return network if _agrees(network, expected_TV, model) else None
    except torch.OutOfMemoryError:
        raise  # the next path would not need less
    except _FAILURES:
        return None  # parts of another make: the next path asks less of a model


def _one_by_one(
    model: PreTrainedModel, expected_TV: Tensor | None, longest: int, failure: Exception | None = None
) -> SoloNetwork:
    """The fastest way of asking transformers that reads a text of `longest` tokens to its end.

    Args:
        expected_TV: as of `_expected`; None where transformers fails at that in the precision of the weights.
        failure: of what was tried before.
    """
    ways: list[_Way] = [] if expected_TV is None else [{"remembers": True}, {"remembers": False}]
    if model.dtype != torch.float32:
        ways.append({"remembers": False, "autocast": True})
    for way in ways:
        solo = SoloNetwork(model, **way)
        try:
            if way["remembers"] and expected_TV is not None and not _agrees(solo, expected_TV, model):
                continue
            if expected_TV is None:
                _read(solo, TRIAL, model)
            _read(solo, longest, model)
        except torch.OutOfMemoryError:
            raise
        except _FAILURES as error:
            failure = error  # transformers' own cache fails for some of the recurrent families
        else:
            return solo
    failure = failure or Exception()
    raise _not_computed(model, failure) from failure


def _not_computed(model: PreTrainedModel, error: Exception) -> UserError:
    """What a user is told of a model that transformers cannot compute."""
    precision = str(model.dtype).removeprefix("torch.")
    said = str(error).partition("\n")[0]
    other = (
        None if model.dtype == torch.float32 else "serve it with `precision: fp32`, unless it is memory that it lacks"
    )
    return UserError(
        f"transformers cannot compute this {model.config.model_type} model in {precision}: {said}", hint=other
    )


def _trial_ids(model: PreTrainedModel) -> Tensor:
    rows = embedding_rows(model)
    return torch.linspace(0, rows - 1, TRIAL).long()


@torch.inference_mode()
def _expected(model: PreTrainedModel) -> Tensor:
    """What transformers gives after each token that the trial asks about, the last SINGLE + 1."""
    ids_1T = _trial_ids(model)[None].to(model.device)
    logits_TV: Tensor = model(input_ids=ids_1T, use_cache=False).logits[0, -SINGLE - 1 :].float()
    return logits_TV


def _agrees(network: Network, expected_TV: Tensor, model: PreTrainedModel) -> bool:
    """Whether a network gives the logits that transformers gives, in both of two slots."""
    ids = _trial_ids(model).tolist()
    tolerance = TOLERANCE[model.dtype] * max(1.0, float(expected_TV.abs().max()))
    single = SINGLE_SLOTS if network.pieces else SINGLE
    begun = TRIAL - single
    steps = [(0, begun), *((at, at + 1) for at in range(begun, TRIAL))]
    for (start, end), expected_V in zip(steps, expected_TV[-single - 1 :], strict=True):
        segments = [Segment(slot, start, ids[start:end], True) for slot in (0, 1)]
        logits_SV = network.forward(Layout(segments, model.device)).float()
        if not float((logits_SV - expected_V).abs().max()) <= tolerance:
            return False
    return True


def _read(network: SoloNetwork, tokens: int, model: PreTrainedModel) -> None:
    """Have a network read a text of so many tokens. Raises what transformers does where that cannot be."""
    ids = _trial_ids(model).repeat(tokens // TRIAL + 1)[:tokens].tolist()
    network.forward(Layout([Segment(0, 0, ids, True)], model.device))
    network.forget(0)
