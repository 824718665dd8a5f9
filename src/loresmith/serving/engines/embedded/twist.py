"""What a layer asks of its attention, and what any attention over slots gives it.

Legend: N tokens of a step, O width of a map's output, H query heads, K key-value heads, D size of a key, E of a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from loresmith.serving.engines.embedded.rms_norm import RmsNorm


@dataclass(frozen=True)
class Twist:
    """What a layer asks of its attention besides the plain formula.

    Attributes:
        scaling: factor on the scores.
        window: a query sees itself and so many keys less one before it; None: all.
        softcap: scores s become cap tanh(s / cap) (Gemma 2).
        sinks_H: a score of each head that takes part in the softmax and has no value (gpt-oss).
    """

    scaling: float
    window: int | None = None
    softcap: float | None = None
    sinks_H: Tensor | None = None


@dataclass(frozen=True)
class Heads:
    """The heads of a layer of the Llama kind.

    Attributes:
        queries, keys: H and K.
        size: D.
        query_norm, key_norm: of each head, before it is turned (Qwen3).
    """

    queries: int
    keys: int
    size: int
    query_norm: RmsNorm | None = None
    key_norm: RmsNorm | None = None

    def parts(self, qkv_NO: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (N, H, D), keys (N, K, D) and values (N, K, D)."""
        all_NXD = qkv_NO.view(len(qkv_NO), -1, self.size)
        first_key, first_value = self.queries, self.queries + self.keys
        return all_NXD[:, :first_key], all_NXD[:, first_key:first_value], all_NXD[:, first_value:]


@dataclass(frozen=True)
class Angles:
    """Of the rotary positions of a step's tokens.

    Attributes:
        cos_ND, sin_ND: as transformers gives them, both halves alike.
    """

    cos_ND: Tensor
    sin_ND: Tensor


class SlotAttention(Protocol):
    """Attention in one step; the same for all layers."""

    def attend(self, layer: int, q_NHD: Tensor, k_NKD: Tensor, v_NKE: Tensor, twist: Twist) -> Tensor:
        """Store what the tokens are known by, and let them look at their requests.

        Returns:
            (N, H, E).
        """
        ...

    def attend_turned(self, layer: int, qkv_NO: Tensor, heads: Heads, angles: Angles, twist: Twist) -> Tensor:
        """The same for queries, keys and values side by side, which get their rotary positions first.

        Args:
            qkv_NO: is written over.
        """
        ...
