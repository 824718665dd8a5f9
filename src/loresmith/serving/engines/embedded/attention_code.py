"""Attention of one step's tokens as one compiled function, for CPUs.

For each token n and each head h with keys of its own, over the L keys that the token sees,

    s_gl = q_g . k_l scaling        w_gl = exp(s_gl - m_g)        o_g = sum_l w_gl v_l / sum_l w_gl

for the G queries of the head's group, m_g the largest s_gl: read once from memory, computed in fp32, rounded once.
Threads share out the pairs (n, h). A pair is computed as it would be alone, so that the result for a token is the same
to the bit whatever else is in the step, and whether it came with a prompt or was written.

Keys and values lie in the blocks of `slot_cache`. While the scores of a pair are computed, its values are fetched, and
while its values are added up, the keys of the thread's next pair: else the processor waits for memory half of the time.

Legend: N tokens, K key-value heads, G queries of one, L keys of a token, D size of a key, E of a value, P keys of a
block, W numbers of a vector.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from loresmith.serving.engines.embedded.slot_cache import GRAIN
from loresmith.serving.engines.embedded.vector_code import Code, Parallel, Stored, bytes_of, width_of

LOW = -math.inf
"""The score of a key that is not seen."""

_AT_ONCE = 28
"""Vectors of queries, or of sums, that are held at once: the processors this pays most on have 32 places for them."""

_ARGUMENTS = (
    *("tokens", "heads", "scaling", "softcap", "sinks", "queries", "query_stride", "keys", "values", "out"),
    *("scores", "score_row", "begins", "ends", "first_cells", "cell_steps"),
)


@dataclass(frozen=True)
class Shape:
    """What one function is compiled for.

    Attributes:
        groups: G.
        key_size, value_size: D and E.
        stored: of queries, keys, values and results.
        softcap: whether scores s become cap tanh(s / cap).
        sinks: whether each head has a score that takes part in the softmax without a value.
    """

    groups: int
    key_size: int
    value_size: int
    stored: Stored
    softcap: bool = False
    sinks: bool = False

    @property
    def width(self) -> int:
        """W: the largest that divides both sizes."""
        return width_of(math.gcd(self.key_size, self.value_size))

    @property
    def at_once(self) -> int:
        """Queries that are computed together."""
        vectors = max(self.key_size, self.value_size) // self.width
        return next(
            n for n in range(self.groups, 0, -1) if self.groups % n == 0 and (n == 1 or n * vectors <= _AT_ONCE)
        )


@cache
def attention_code(shape: Shape) -> Parallel:
    """The function for a shape.

    | argument | |
    |---|---|
    | tokens, heads | N and K |
    | scaling, softcap | the bits of an fp32 number |
    | sinks | address of K G numbers in fp32 |
    | queries, query_stride | address of the first query, and bytes from one token's to the next one's |
    | keys, values | addresses of the first block of a layer |
    | out | address of the results (N, K G, E) |
    | scores, score_row | address of room for scores: for each thread `at_once` rows of so many fp32 numbers |
    | begins, ends | addresses of int64 (N,): the keys begins .. ends - 1 are seen |
    | first_cells, cell_steps | addresses of int64 (N,): the cell of a token's first block, and cells to its next |
    """
    return _Attention(shape).write()


@dataclass(frozen=True)
class _Pair:
    """A token and a head of keys: numbers of the function that is being written."""

    token: Any
    head: Any
    begin: Any
    end: Any
    first_cell: Any
    cell_step: Any


class _Attention:
    """Writes the function."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._code = code = Code(_ARGUMENTS, shape.width)
        self._given = code.given
        self._size = bytes_of(shape.stored)
        room = code.multiply(self._given["score_row"], shape.at_once, 4)
        self._scores = code.add(self._given["scores"], code.multiply(code.thread, room))

    def write(self) -> Parallel:
        code, shape = self._code, self._shape
        pairs = code.multiply(self._given["tokens"], self._given["heads"])
        with code.each(code.thread, pairs, code.threads) as place:
            pair = self._pair(place)
            following = self._pair(code.smaller(code.add(place, code.threads), code.subtract(pairs, 1)))
            with code.each(0, shape.groups, shape.at_once) as group:
                head = code.add(code.multiply(pair.head, shape.groups), group)
                self._write_scores(pair, head)
                factors = [self._write_weights(pair, head, row) for row in range(shape.at_once)]
                sums = self._write_sums(pair, following)
                self._write_results(pair, head, sums, factors)
        return code.finish()

    def _pair(self, place: Any) -> _Pair:
        code = self._code
        token, head = code.divide(place, self._given["heads"]), code.remainder(place, self._given["heads"])
        names = ("begins", "ends", "first_cells", "cell_steps")
        return _Pair(token, head, *(code.whole_at(self._given[name], token) for name in names))

    def _write_scores(self, pair: _Pair, head: Any) -> None:
        """The rows of scores, and LOW where the last vectors of a row go beyond them."""
        code, shape, given = self._code, self._shape, self._given
        offset = code.multiply(head, shape.key_size, self._size)
        queries = code.add(given["queries"], code.multiply(pair.token, given["query_stride"]), offset)
        scaling = code.as_float(given["scaling"])
        columns = range(0, shape.key_size, code.width)
        rows = range(shape.at_once)
        q = {
            (row, column): code.times(self._read(queries, row * shape.key_size + column), scaling)
            for row in rows
            for column in columns
        }
        first, last = self._bounds(pair)
        for row in rows:
            for place in (first, code.subtract(last, code.width)):
                code.write(code.vector(LOW), self._score(row, place), "fp32")
        with self._each_key(pair) as (place, row_of_key):
            key = code.add(given["keys"], code.multiply(row_of_key, shape.key_size, self._size))
            value = code.add(given["values"], code.multiply(row_of_key, shape.value_size, self._size))
            code.fetch_ahead(value, shape.value_size * self._size)
            k = {column: self._read(key, column) for column in columns}
            for row in rows:
                products = code.times(q[row, 0], k[0])
                for column in columns[1:]:
                    products = code.times_plus(q[row, column], k[column], products)
                code.write_one(self._capped(code.sum_of(products)), self._score(row, place))

    def _write_weights(self, pair: _Pair, head: Any, row: int) -> Any:
        """Weights in place of a row of scores.

        Returns:
            One by their sum, W times.
        """
        code = self._code
        first, last = self._bounds(pair)
        largest, total = code.variable(), code.variable()
        code.put(largest, code.vector(LOW))
        with code.each(first, last, code.width) as place:
            code.put(largest, code.maximum(code.get(largest), code.read(self._score(row, place), "fp32")))
        top = code.spread(code.maximum_of(code.get(largest)))
        if self._shape.sinks:
            sink = code.read_one(code.add(self._given["sinks"], code.multiply(code.add(head, row), 4)))
            top = code.maximum(top, sink)
        code.put(total, code.vector(0))
        with code.each(first, last, code.width) as place:
            weight = code.exp(code.minus(code.read(self._score(row, place), "fp32"), top))
            code.write(weight, self._score(row, place), "fp32")
            code.put(total, code.plus(code.get(total), weight))
        whole = code.spread(code.sum_of(code.get(total)))
        if self._shape.sinks:
            whole = code.plus(whole, code.exp(code.minus(sink, top)))
        return code.over(code.vector(1), whole)

    def _write_sums(self, pair: _Pair, following: _Pair) -> dict[tuple[int, int], Any]:
        """The values by their weights, in variables by row and column."""
        code, shape, given = self._code, self._shape, self._given
        rows, columns = range(shape.at_once), range(0, shape.value_size, code.width)
        sums = {(row, column): code.variable() for row in rows for column in columns}
        for variable in sums.values():
            code.put(variable, code.vector(0))
        with self._each_key(pair, following) as (place, row_of_value, row_of_next):
            value = code.add(given["values"], code.multiply(row_of_value, shape.value_size, self._size))
            coming = code.add(given["keys"], code.multiply(row_of_next, shape.key_size, self._size))
            code.fetch_ahead(coming, shape.key_size * self._size)
            v = {column: self._read(value, column) for column in columns}
            for row in rows:
                weight = code.read_one(self._score(row, place))
                for column in columns:
                    code.put(sums[row, column], code.times_plus(weight, v[column], code.get(sums[row, column])))
        return sums

    def _write_results(self, pair: _Pair, head: Any, sums: dict[tuple[int, int], Any], factors: list[Any]) -> None:
        code, shape, given = self._code, self._shape, self._given
        heads = code.multiply(given["heads"], shape.groups)
        vectors = code.add(code.multiply(pair.token, heads), head)
        out = code.add(given["out"], code.multiply(vectors, shape.value_size, self._size))
        for (row, column), variable in sums.items():
            address = code.add(out, (row * shape.value_size + column) * self._size)
            code.write(code.times(code.get(variable), factors[row]), address, shape.stored)

    def _capped(self, score: Any) -> Any:
        code = self._code
        if not self._shape.softcap:
            return score
        cap = code.as_float(self._given["softcap"])
        return code.first_of(code.times(cap, code.tanh(code.over(code.spread(score), cap))))

    def _bounds(self, pair: _Pair) -> tuple[Any, Any]:
        """The places of whole vectors of scores, in which the keys lie that are seen."""
        width = self._code.width
        return self._code.round_down(pair.begin, width), self._code.round_up(pair.end, width)

    @contextmanager
    def _each_key(self, *pairs: _Pair) -> Iterator[tuple[Any, ...]]:
        """The loop over the keys that the first pair sees.

        Yields:
            The place of a key, and the row of memory that has this place of each pair.
        """
        code, pair = self._code, pairs[0]
        with code.each(code.round_down(pair.begin, GRAIN), pair.end, GRAIN) as start:
            blocks = [self._block(each, start) for each in pairs]
            begin = code.larger(pair.begin, start)
            with code.each(begin, code.smaller(pair.end, code.add(start, GRAIN))) as place:
                yield place, *(code.add(block, code.subtract(place, start)) for block in blocks)

    def _block(self, pair: _Pair, start: Any) -> Any:
        """The first row of the block of a pair that begins with a place."""
        code = self._code
        cell = code.add(pair.first_cell, code.multiply(code.divide(start, GRAIN), pair.cell_step))
        return code.multiply(code.add(code.multiply(cell, self._given["heads"]), pair.head), GRAIN)

    def _score(self, row: int, place: Any) -> Any:
        code = self._code
        return code.add(self._scores, code.multiply(code.add(code.multiply(self._given["score_row"], row), place), 4))

    def _read(self, base: Any, column: int) -> Any:
        return self._code.read(self._code.add(base, column * self._size), self._shape.stored)
