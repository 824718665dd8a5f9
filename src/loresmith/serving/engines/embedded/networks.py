"""Which code computes a model: the fast path, the generic one, or one request at a time.

Each path is taken only where it computes, on a few tokens in two pieces, what transformers computes on them at once.
Whether it does so in long texts too is what the parity receipt is about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from loresmith.models.base_parity import TOLERANCE
from loresmith.models.storage import embedding_rows
from loresmith.serving.engines.embedded.fast_network import FAMILIES, FastNetwork
from loresmith.serving.engines.embedded.generic_network import GenericNetwork, UnsuitedModelError
from loresmith.serving.engines.embedded.layout import Layout, Segment
from loresmith.serving.engines.embedded.network import Network
from loresmith.serving.engines.embedded.solo_network import SoloNetwork

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TRIAL = 28
"""Tokens of the trial."""

SINGLE = 6
"""The last of them are steps of their own."""

Load = Callable[[], "PreTrainedModel"]


def network_for(load: Load, slots: int, window: int) -> Network:
    """The fastest path that computes the model which `load` loads.

    Args:
        load: called once for each path that is tried, since a path changes its model.
    """
    model = load()
    expected_TV = _expected(model)
    if model.config.model_type in FAMILIES:
        try:
            fast = FastNetwork(model, slots, window)
            if _agrees(fast, expected_TV, model):
                fast.let_go(model)
                return fast
        except (AttributeError, RuntimeError):
            pass  # parts of another make: the generic path asks less of a model
    try:
        generic = GenericNetwork(model, slots, window)
        if _agrees(generic, expected_TV, model):
            return generic
    except UnsuitedModelError:
        pass
    model = load()
    try:
        solo = SoloNetwork(model, remembers=True)
        if _agrees(solo, expected_TV, model):
            return solo
    except (AttributeError, RuntimeError, TypeError, ValueError, StopIteration):
        pass  # transformers' own cache fails for some of the recurrent families
    return SoloNetwork(model, remembers=False)


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
    begun = TRIAL - SINGLE
    steps = [(0, begun), *((at, at + 1) for at in range(begun, TRIAL))]
    for (start, end), expected_V in zip(steps, expected_TV, strict=True):
        segments = [Segment(slot, start, ids[start:end], True) for slot in (0, 1)]
        logits_SV = network.forward(Layout(segments, model.device)).float()
        if not float((logits_SV - expected_V).abs().max()) <= tolerance:
            return False
    return True
