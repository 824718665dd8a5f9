"""What is done to the rows of a step between its products, as compiled functions for CPUs: norms, rotary positions.

Each is one pass over memory, computed in fp32 and rounded once. Threads share out the rows; what is computed for one
does not depend on the others.

Legend: N tokens of a step, I width, H query heads, K key-value heads, D size of a head, P positions of a cell, W
numbers of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from loresmith.serving.engines.embedded.slot_cache import GRAIN
from loresmith.serving.engines.embedded.vector_code import Code, Parallel, Stored, bytes_of, width_of

_NORM_ARGUMENTS = ("rows", "x", "x_stride", "out", "weight", "epsilon")

_TURN_ARGUMENTS = (
    *("tokens", "heads", "key_heads", "qkv", "qkv_stride", "cos", "sin", "keys", "values", "cells", "places"),
    *("query_weight", "key_weight", "epsilon"),
)


@cache
def norm_code(size: int, stored: Stored) -> Parallel:
    """RMSNorm (Zhang and Sennrich 2019) of rows of `size` numbers: x / sqrt(mean(x^2) + epsilon) * weight.

    | argument | |
    |---|---|
    | rows | N |
    | x, x_stride | address of the first row, and bytes from one to the next |
    | out | address of the results, end to end |
    | weight | address of `size` numbers in fp32 |
    | epsilon | the bits of an fp32 number |
    """
    code = Code(_NORM_ARGUMENTS, width_of(size))
    given = code.given
    number_bytes = bytes_of(stored)
    with code.each(code.thread, given["rows"], code.threads) as row:
        x = code.add(given["x"], code.multiply(row, given["x_stride"]))
        out = code.add(given["out"], code.multiply(row, size, number_bytes))
        squares = code.variable()
        code.put(squares, code.vector(0))
        with code.each(0, size, code.width) as column:
            vector = code.read(code.add(x, code.multiply(column, number_bytes)), stored)
            code.put(squares, code.times_plus(vector, vector, code.get(squares)))
        factor = _factor(code, code.get(squares), size, given["epsilon"])
        with code.each(0, size, code.width) as column:
            vector = code.read(code.add(x, code.multiply(column, number_bytes)), stored)
            weight = code.read(code.add(given["weight"], code.multiply(column, 4)), "fp32")
            place = code.add(out, code.multiply(column, number_bytes))
            code.write(code.times(code.times(vector, factor), weight), place, stored)
    return code.finish()


@dataclass(frozen=True)
class TurnShape:
    """What one function of rotary positions is compiled for.

    Attributes:
        size: D.
        stored: of heads, cosines and the slots.
        normed: whether queries and keys are normed first, head by head (Qwen3).
    """

    size: int
    stored: Stored
    normed: bool


@cache
def turn_code(shape: TurnShape) -> Parallel:
    """Rotary positions (Su et al. 2021), the halves of a head turned against one another as in Llama.

    Queries are turned where they stand; turned keys, and values as they are, go to their slots.

    | argument | |
    |---|---|
    | tokens, heads, key_heads | N, H and K |
    | qkv, qkv_stride | address of the first token's H queries, K keys and K values, and bytes to the next token's |
    | cos, sin | addresses of (N, D) |
    | keys, values | addresses of the first cell of a layer |
    | cells, places | addresses of int64 (N,): where a token's keys and values go: the cell, and the position in it |
    | query_weight, key_weight | addresses of D numbers in fp32; 0 where nothing is normed |
    | epsilon | the bits of an fp32 number |
    """
    return _Turn(shape).write()


class _Turn:
    """Writes the function."""

    def __init__(self, shape: TurnShape) -> None:
        self._shape = shape
        self._bytes = bytes_of(shape.stored)
        self._code = Code(_TURN_ARGUMENTS, width_of(shape.size // 2))
        self._given = self._code.given

    def write(self) -> Parallel:
        code, given = self._code, self._given
        head_bytes = self._shape.size * self._bytes
        with code.each(code.thread, given["tokens"], code.threads) as token:
            queries = code.add(given["qkv"], code.multiply(token, given["qkv_stride"]))
            keys = code.add(queries, code.multiply(given["heads"], head_bytes))
            values = code.add(keys, code.multiply(given["key_heads"], head_bytes))
            angles = code.multiply(token, head_bytes)
            with code.each(0, given["heads"]) as head:
                query = code.add(queries, code.multiply(head, head_bytes))
                self._turn(query, query, angles, given["query_weight"])
            cell, place = (code.whole_at(given[name], token) for name in ("cells", "places"))
            first = code.multiply(cell, given["key_heads"])
            with code.each(0, given["key_heads"]) as head:
                row = code.add(code.multiply(code.add(first, head), GRAIN), place)
                offset, to = code.multiply(head, head_bytes), code.multiply(row, head_bytes)
                self._turn(code.add(keys, offset), code.add(given["keys"], to), angles, given["key_weight"])
                for column in range(0, self._shape.size, code.width):
                    value = self._read(code.add(values, offset), column)
                    self._write(value, code.add(given["values"], to), column)
        return code.finish()

    def _turn(self, source: Any, target: Any, angles: Any, weight: Any) -> None:
        code, shape = self._code, self._shape
        columns, half = range(0, shape.size, code.width), shape.size // 2
        x = {column: self._read(source, column) for column in columns}
        if shape.normed:
            squares = code.vector(0)
            for column in columns:
                squares = code.times_plus(x[column], x[column], squares)
            factor = _factor(code, squares, shape.size, self._given["epsilon"])
            for column in columns:
                scale = code.read(code.add(weight, column * 4), "fp32")
                x[column] = code.times(code.times(x[column], factor), scale)
        for column in columns:
            cos, sin = (self._read(code.add(self._given[name], angles), column) for name in ("cos", "sin"))
            other = x[column + half] if column < half else x[column - half]
            turned = code.times(other, sin)
            kept = code.times(x[column], cos)
            self._write(code.minus(kept, turned) if column < half else code.plus(kept, turned), target, column)

    def _read(self, base: Any, column: int) -> Any:
        return self._code.read(self._code.add(base, column * self._bytes), self._shape.stored)

    def _write(self, value: Any, base: Any, column: int) -> None:
        self._code.write(value, self._code.add(base, column * self._bytes), self._shape.stored)


def _factor(code: Code, squares: Any, size: int, epsilon: Any) -> Any:
    """One by the root of the mean of squares, W times."""
    mean = code.times(code.spread(code.sum_of(squares)), code.vector(1 / size))
    return code.over(code.vector(1), code.root(code.plus(mean, code.as_float(epsilon))))
