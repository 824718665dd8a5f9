"""The attention of one step by its compiled function (`attention_code`): what the function is given.

Legend: N tokens of the step, H query heads, K key-value heads, D size of a key, E of a value, X cells, P positions of a
cell.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from loresmith.serving.engines.embedded.attention_code import Shape, attention_code
from loresmith.serving.engines.embedded.layout import Layout
from loresmith.serving.engines.embedded.row_code import TurnShape, turn_code
from loresmith.serving.engines.embedded.slot_cache import SlotCache
from loresmith.serving.engines.embedded.twist import Angles, Heads, Twist
from loresmith.serving.engines.embedded.vector_code import Stored, bits_of

_WHOLE = 16
"""Scores of a row are written in vectors of at most so many."""


class CompiledAttention:
    """See `SlotAttention`.

    Args:
        stored: of all that it is given, and of the cache.
    """

    def __init__(self, layout: Layout, cache: SlotCache, stored: Stored) -> None:
        segments = layout.segments
        sizes = [len(segment.tokens) for segment in segments]
        places = [cache.cells_of(segment.slot) for segment in segments]
        self._cache = cache
        self._stored = stored
        self._places = cache.places(layout)
        self._ends_N = np.concatenate([np.arange(one.start + 1, one.end + 1, dtype=np.int64) for one in segments])
        self._first_N, self._step_N = (
            np.repeat(np.array([place[part] for place in places], np.int64), sizes) for part in (0, 1)
        )
        self._begins: dict[int | None, npt.NDArray[np.int64]] = {}
        self._row = -(-int(self._ends_N.max()) // _WHOLE) * _WHOLE
        self._scores = torch.empty(0)

    def attend(self, layer: int, q_NHD: Tensor, k_NKD: Tensor, v_NKE: Tensor, twist: Twist) -> Tensor:
        """See `SlotAttention`."""
        self._cache.store(layer, self._places, k_NKD, v_NKE)
        if q_NHD.stride()[1:] != (q_NHD.shape[2], 1):
            q_NHD = q_NHD.contiguous()
        return self._look(layer, q_NHD, k_NKD, v_NKE, twist)

    def attend_turned(self, layer: int, qkv_NO: Tensor, heads: Heads, angles: Angles, twist: Twist) -> Tensor:
        """See `SlotAttention`."""
        q_NHD, k_NKD, v_NKD = heads.parts(qkv_NO)
        keys_XKPD, values_XKPD = self._cache.of_layer(layer, k_NKD, v_NKD)
        normed = heads.query_norm is not None and heads.key_norm is not None
        weights, epsilon = (0, 0), 0.0
        if heads.query_norm is not None and heads.key_norm is not None:
            weights = (heads.query_norm.full_weight.data_ptr(), heads.key_norm.full_weight.data_ptr())
            epsilon = heads.query_norm.epsilon
        turn_code(TurnShape(heads.size, self._stored, normed))(
            tokens=len(qkv_NO),
            heads=heads.queries,
            key_heads=heads.keys,
            qkv=qkv_NO.data_ptr(),
            qkv_stride=qkv_NO.stride(0) * qkv_NO.element_size(),
            cos=angles.cos_ND.data_ptr(),
            sin=angles.sin_ND.data_ptr(),
            keys=keys_XKPD.data_ptr(),
            values=values_XKPD.data_ptr(),
            cells=self._places.cells_N.data_ptr(),
            places=self._places.within_N.data_ptr(),
            query_weight=weights[0],
            key_weight=weights[1],
            epsilon=bits_of(epsilon),
        )
        return self._look(layer, q_NHD, k_NKD, v_NKD, twist)

    def _look(self, layer: int, q_NHD: Tensor, k_NKD: Tensor, v_NKE: Tensor, twist: Twist) -> Tensor:
        """The step's tokens at their slots, where their own keys and values are by now."""
        keys_XKPD, values_XKPE = self._cache.of_layer(layer, k_NKD, v_NKE)
        tokens, heads, key_size = q_NHD.shape
        key_heads, value_size = v_NKE.shape[1:]
        sinks_H = None if twist.sinks_H is None else twist.sinks_H.float().contiguous()
        shape = Shape(
            groups=heads // key_heads,
            key_size=key_size,
            value_size=value_size,
            stored=self._stored,
            softcap=twist.softcap is not None,
            sinks=sinks_H is not None,
        )
        out_NHE = q_NHD.new_empty(tokens, heads, value_size)
        attention_code(shape)(
            tokens=tokens,
            heads=key_heads,
            scaling=bits_of(twist.scaling),
            softcap=bits_of(twist.softcap or 0.0),
            sinks=0 if sinks_H is None else sinks_H.data_ptr(),
            queries=q_NHD.data_ptr(),
            query_stride=q_NHD.stride(0) * q_NHD.element_size(),
            keys=keys_XKPD.data_ptr(),
            values=values_XKPE.data_ptr(),
            out=out_NHE.data_ptr(),
            scores=self._room(shape.at_once),
            score_row=self._row,
            begins=self._begins_for(twist.window).ctypes.data,
            ends=self._ends_N.ctypes.data,
            first_cells=self._first_N.ctypes.data,
            cell_steps=self._step_N.ctypes.data,
        )
        return out_NHE

    def _room(self, rows: int) -> int:
        """The address of room for every thread's scores."""
        needed = torch.get_num_threads() * rows * self._row
        if self._scores.numel() < needed:
            self._scores = torch.empty(needed, dtype=torch.float32)
        return self._scores.data_ptr()

    def _begins_for(self, window: int | None) -> npt.NDArray[np.int64]:
        found = self._begins.get(window)
        if found is None:
            found = self._begins[window] = np.maximum(self._ends_N - (window or math.inf), 0).astype(np.int64)
        return found
