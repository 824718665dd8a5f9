"""Which attention a step has: one compiled function on CPUs, operations of torch elsewhere."""

from __future__ import annotations

import torch

from loresmith.serving.engines.embedded.compiled_attention import CompiledAttention
from loresmith.serving.engines.embedded.layout import Layout
from loresmith.serving.engines.embedded.plain_attention import PlainAttention
from loresmith.serving.engines.embedded.slot_cache import SlotCache
from loresmith.serving.engines.embedded.twist import SlotAttention
from loresmith.serving.engines.embedded.vector_code import Stored, stored_as


def computed_by(path: str, device: torch.device, dtype: torch.dtype) -> str:
    """What a receipt says of the code on a network's path: whether its attention is a compiled function."""
    return f"{path}, compiled" if path in ("fast", "generic") and _stored(device, dtype) is not None else path


def slot_attention(layout: Layout, cache: SlotCache, dtype: torch.dtype) -> SlotAttention:
    """The attention of one step over the slots of a cache."""
    stored = _stored(layout.device, dtype)
    if stored is not None:
        return CompiledAttention(layout, cache, stored)
    return PlainAttention(layout, cache, dtype)


def _stored(device: torch.device, dtype: torch.dtype) -> Stored | None:
    """How the compiled function finds numbers; None where there is none."""
    return stored_as(dtype) if device.type == "cpu" else None
