"""Which attention a step has: one compiled function on CPUs, operations of torch elsewhere."""

from __future__ import annotations

import torch

from loresmith.serving.engines.embedded.compiled_attention import CompiledAttention
from loresmith.serving.engines.embedded.layout import Layout
from loresmith.serving.engines.embedded.plain_attention import PlainAttention
from loresmith.serving.engines.embedded.slot_cache import SlotCache
from loresmith.serving.engines.embedded.twist import SlotAttention
from loresmith.serving.engines.embedded.vector_code import stored_as


def slot_attention(layout: Layout, cache: SlotCache, dtype: torch.dtype) -> SlotAttention:
    """The attention of one step over the slots of a cache."""
    stored = stored_as(dtype)
    if stored is not None and layout.device.type == "cpu":
        return CompiledAttention(layout, cache, stored)
    return PlainAttention(layout, cache, dtype)
