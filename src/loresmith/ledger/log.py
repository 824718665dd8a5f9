"""The log: one leaf for every change of the ledger, under the Merkle tree of `merkle.py`.

A leaf's payload describes the rows that came with it (`description.py`). `append` writes leaf and rows in the caller's
transaction; `verify` reads them again and compares.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Table
from sqlalchemy.engine import Connection

from loresmith.errors import Failure, UserError
from loresmith.ledger import merkle, schema
from loresmith.ledger.clock import timestamp
from loresmith.ledger.database import Database
from loresmith.ledger.description import describe
from loresmith.ledger.digest import canonical_json, is_digest, parse_json
from loresmith.ledger.verification import LogCheck, Verification

Rows = Mapping[Table, Sequence[Mapping[str, Any]]]

_AT_ONCE = 500

# Statements that every change goes through are put together once.
_READ_HEAD = sql.select(schema.LOG_HEAD.c.size, schema.LOG_HEAD.c.peaks)
_WRITE_HEAD = sql.update(schema.LOG_HEAD)
_INSERT = {table: sql.insert(table) for table in schema.APPEND_ONLY}


@dataclass(frozen=True)
class Entry:
    """One leaf that is to be added: what it says of whom, and the rows that come with it."""

    kind: str
    key: str
    rows: Rows
    at: str | None = None
    """When it was; None: now."""


class Head(BaseModel):
    """The state of the log: whoever keeps one can later be shown that nothing before it has changed."""

    model_config = ConfigDict(frozen=True)

    size: int = Field(description="How many leaves there are.")
    root: str = Field(description="The root of the Merkle tree over them, hexadecimal.")


class InclusionProof(BaseModel):
    """Shows that one leaf stands in the log (check with `merkle.verify_inclusion`)."""

    model_config = ConfigDict(frozen=True)

    index: int
    size: int = Field(description="The size of the log that the proof is about.")
    leaf: str = Field(description="The leaf's hash, hexadecimal.")
    path: tuple[str, ...] = Field(description="Sibling hashes from the leaf up, hexadecimal.")
    root: str

    def holds(self) -> bool:
        """Whether the hashes lead to the root."""
        path = [bytes.fromhex(sibling) for sibling in self.path]
        leaf, root = bytes.fromhex(self.leaf), bytes.fromhex(self.root)
        return merkle.verify_inclusion(leaf, self.index, self.size, path, root)


class ConsistencyProof(BaseModel):
    """Shows that an older state of the log is the beginning of a newer one (check with `merkle.verify_consistency`)."""

    model_config = ConfigDict(frozen=True)

    old: int = Field(description="The older size.")
    new: int = Field(description="The newer size.")
    path: tuple[str, ...]
    old_root: str
    new_root: str

    def holds(self) -> bool:
        """Whether the hashes lead to both roots."""
        path = [bytes.fromhex(sibling) for sibling in self.path]
        roots = bytes.fromhex(self.old_root), bytes.fromhex(self.new_root)
        return merkle.verify_consistency(self.old, self.new, path, *roots)


class Log:
    """The append-only Merkle log of one ledger."""

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor

    def append(self, connection: Connection, kind: str, key: str, rows: Rows, *, at: str | None = None) -> int:
        """Add rows and the one leaf that describes them; returns the leaf's index.

        `connection` comes from `Database.write`, so that nobody else appends before it commits.
        """
        return self.append_many(connection, [Entry(kind, key, rows, at)])[0]

    def append_many(self, connection: Connection, entries: Sequence[Entry]) -> range:
        """Add a leaf, and the rows that it describes, for each entry in turn; returns the leaves' indices.

        The leaves are those that as many calls of `append` would have added; what one transaction costs is paid once.
        """
        span = _span(connection)
        first = span.size
        leaves: list[dict[str, Any]] = []
        rows: dict[Table, list[dict[str, Any]]] = {}
        for index, entry in enumerate(entries, first):
            described = describe((table, row) for table, new in entry.rows.items() for row in new)
            payload = canonical_json(
                {
                    "actor": self._actor,
                    "at": entry.at or timestamp(),
                    "key": entry.key,
                    "kind": entry.kind,
                    "rows": described,
                }
            )
            leaf = merkle.leaf_hash(payload)
            span.append(leaf)
            leaves.append(
                {
                    "index": index,
                    "kind": entry.kind,
                    "key": entry.key,
                    "payload": payload.decode(),
                    "hash": leaf.hex(),
                    "root": span.root().hex(),
                }
            )
            for table, new in entry.rows.items():
                rows.setdefault(table, []).extend({**row, "leaf": index} for row in new)
        if leaves:
            connection.execute(_INSERT[schema.LOG_LEAF], leaves)
            for table in schema.DESCRIBED:
                if rows.get(table):
                    connection.execute(_INSERT[table], rows[table])
            peaks = canonical_json([peak.hex() for peak in span.peaks]).decode()
            root = leaves[-1]["root"]
            connection.execute(_WRITE_HEAD, {"size": span.size, "root": root, "peaks": peaks})
        return range(first, span.size)

    def head(self) -> Head:
        """How many leaves there are, and the root over them."""
        with self._database.read() as connection:
            found = connection.execute(sql.select(schema.LOG_HEAD.c.size, schema.LOG_HEAD.c.root)).one()
        return Head(size=found.size, root=found.root)

    def verify(self) -> LogCheck:
        """Read the whole log again, recompute the tree, and compare every row with the leaf that describes it."""
        with self._database.read() as connection:
            return Verification(connection).carry_out()

    def inclusion_proof(self, index: int, size: int | None = None) -> InclusionProof:
        """The proof that leaf `index` stands in the log as it was at `size` leaves (now, if None)."""
        return self.inclusion_proofs([index], size)[index]

    def inclusion_proofs(self, indices: Collection[int], size: int | None = None) -> dict[int, InclusionProof]:
        """The proofs for many leaves, in one pass over the log."""
        with self._database.read() as connection:
            now = _size(connection)
            size = now if size is None else size
            for index in indices:
                if not 0 <= index < size <= now:
                    raise UserError(
                        f"there is no leaf {index} among the first {size}", hint=f"the log has {now} leaves"
                    )
            if not indices:
                return {}
            proved = merkle.inclusion_paths(_hashes(connection)(0, size), indices, size)
            root = _root(connection, size)
        return {
            index: InclusionProof(
                index=index, size=size, leaf=leaf.hex(), path=tuple(sibling.hex() for sibling in path), root=root
            )
            for index, (leaf, path) in proved.items()
        }

    def payloads(self, indices: Collection[int]) -> dict[int, str]:
        """What these leaves say: the bytes that were hashed, as text."""
        wanted = sorted(indices)
        found: dict[int, str] = {}
        with self._database.read() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                among = schema.LOG_LEAF.c.index.in_(wanted[start : start + _AT_ONCE])
                query = sql.select(schema.LOG_LEAF.c.index.label("number"), schema.LOG_LEAF.c.payload).where(among)
                found.update((row.number, row.payload) for row in connection.execute(query))
        return found

    def consistency_proof(self, old: int, new: int | None = None) -> ConsistencyProof:
        """The proof that the log at `old` leaves is the beginning of the log at `new` leaves (now, if None)."""
        with self._database.read() as connection:
            now = _size(connection)
            new = now if new is None else new
            if not 1 <= old <= new <= now:
                raise UserError(f"the log never went from {old} to {new} leaves", hint=f"it has {now}")
            path = merkle.consistency_path(_hashes(connection), old, new)
            roots = _root(connection, old), _root(connection, new)
        return ConsistencyProof(
            old=old, new=new, path=tuple(sibling.hex() for sibling in path), old_root=roots[0], new_root=roots[1]
        )


def _span(connection: Connection) -> merkle.CompactRange:
    """The tree as the head remembers it."""
    head = connection.execute(_READ_HEAD).one()
    try:
        return merkle.CompactRange(head.size, [bytes.fromhex(peak) for peak in parse_json(head.peaks)])
    except (ValueError, TypeError) as error:
        raise Failure(
            "the head of the log is damaged; nothing was written", hint="`loresmith ledger verify` says more"
        ) from error


def _size(connection: Connection) -> int:
    return int(connection.execute(sql.select(schema.LOG_HEAD.c.size)).scalar_one())


def _root(connection: Connection, size: int) -> str:
    column = schema.LOG_LEAF.c.root
    return str(connection.execute(sql.select(column).where(schema.LOG_LEAF.c.index == size - 1)).scalar_one())


def _hashes(connection: Connection) -> merkle.LeafHashes:
    leaf = schema.LOG_LEAF.c

    def between(start: int, stop: int) -> Iterator[bytes]:
        query = sql.select(leaf.hash).where(leaf.index >= start, leaf.index < stop).order_by(leaf.index)
        for (found,) in connection.execute(query, execution_options={"yield_per": 1000}):
            if not is_digest(found):
                raise Failure("the log is damaged: a hash is not one", hint="`loresmith ledger verify` says more")
            yield bytes.fromhex(found)

    return between
