"""Lineage: all that an asset came from, through the actions that made it, and the releases that point at it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import sqlalchemy as sql
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from sqlalchemy.engine import Connection

from loresmith.ledger.database import Database
from loresmith.ledger.erasures import Mark, effect_of
from loresmith.ledger.schema import ACTION, ASSET, EDGE, RELEASE_CHANNEL

_AT_ONCE = 500


class AssetNode(BaseModel):
    """An asset in a lineage."""

    model_config = ConfigDict(frozen=True)

    type: Literal["asset"] = "asset"
    id: str = Field(description="Its digest.")
    kind: str
    size: int
    created_at: str
    mark: Literal["", "erased", "tainted"] = Field(default="", description="What erasures did to it.")


class ActionNode(BaseModel):
    """An action in a lineage."""

    model_config = ConfigDict(frozen=True)

    type: Literal["action"] = "action"
    id: str = Field(description="Its key.")
    name: str
    recipe: str
    step: str
    run: str
    seconds: float
    finished_at: str


class LineageEdge(BaseModel):
    """`source` went into, or came out as, `target` in this role."""

    model_config = ConfigDict(frozen=True, serialize_by_alias=True)

    role: str
    source: str = Field(validation_alias=AliasChoices("source", "from"), serialization_alias="from")
    target: str = Field(validation_alias=AliasChoices("target", "to"), serialization_alias="to")


class ReleaseMark(BaseModel):
    """A channel that points at an asset of the lineage."""

    model_config = ConfigDict(frozen=True)

    name: str
    channel: str
    asset: str


class Lineage(BaseModel):
    """How an asset came to be: a graph from the first inputs to it."""

    model_config = ConfigDict(frozen=True)

    asset: str = Field(description="The digest of the asset that was asked for.")
    nodes: tuple[AssetNode | ActionNode, ...] = Field(description="What comes first in the log stands first.")
    edges: tuple[LineageEdge, ...]
    releases: tuple[ReleaseMark, ...]

    def mermaid(self) -> str:
        """The graph as a Mermaid flowchart, from files to release."""
        names = {node.id: f"n{number}" for number, node in enumerate(self.nodes)}
        lines = ["flowchart LR"]
        for node in self.nodes:
            if isinstance(node, AssetNode):
                erased = f"<br/>{node.mark}" if node.mark else ""
                lines.append(f'    {names[node.id]}["{node.kind}<br/>{node.id[:12]}{erased}"]')
            else:
                lines.append(
                    f'    {names[node.id]}(["{_quoted(node.recipe)}/{_quoted(node.name)}<br/>{_quoted(node.step)}"])'
                )
        for edge in self.edges:
            lines.append(f"    {names[edge.source]} -- {_quoted(edge.role)} --> {names[edge.target]}")
        for number, mark in enumerate(self.releases):
            lines.append(f'    r{number}{{{{"{_quoted(mark.name)}@{mark.channel}"}}}}')
            lines.append(f"    {names[mark.asset]} --> r{number}")
        return "\n".join(lines) + "\n"


def lineage_of(database: Database, digest: str, erased: Mapping[str, Sequence[Mark]]) -> Lineage:
    """Follow the edges from an asset back to what nothing made; `erased` has the marks of assets, by digest."""
    with database.read() as connection:
        edges, assets, actions = _ancestry(connection, digest)
        nodes = [*_asset_nodes(connection, assets, erased), *_action_nodes(connection, actions)]
        columns = RELEASE_CHANNEL.c
        marks = _chunks(connection, sql.select(columns.name, columns.channel, columns.asset), columns.asset, assets)
    nodes.sort(key=lambda pair: pair[0])
    return Lineage(
        asset=digest,
        nodes=tuple(node for _place, node in nodes),
        edges=tuple(edges),
        releases=tuple(ReleaseMark(name=name, channel=channel, asset=asset) for name, channel, asset in sorted(marks)),
    )


def makers_of(database: Database, digest: str) -> dict[str, dict[str, str]]:
    """What each action that made an asset made in all: digests by role, by the action's key."""
    with database.read() as connection:
        outputs = EDGE.c.direction == "output"
        keys = list(connection.execute(sql.select(EDGE.c.action).where(outputs, EDGE.c.asset == digest)).scalars())
        rows = _chunks(
            connection, sql.select(EDGE.c.action, EDGE.c.role, EDGE.c.asset).where(outputs), EDGE.c.action, keys
        )
    made: dict[str, dict[str, str]] = {}
    for action, role, asset in rows:
        made.setdefault(action, {})[role] = asset
    return made


def made_from(database: Database, digests: Iterable[str], apart: Collection[str] = ()) -> set[str]:
    """The assets that were made from these, in any number of steps; those `apart`, and what was made from them alone,
    are left out."""
    found, new = set[str](), set(digests)
    begun = set(new)
    with database.read() as connection:
        while new:
            used = sql.select(EDGE.c.action).where(EDGE.c.direction == "input")
            actions = {row[0] for row in _chunks(connection, used, EDGE.c.asset, new)}
            made = sql.select(EDGE.c.asset).where(EDGE.c.direction == "output")
            outputs = {row[0] for row in _chunks(connection, made, EDGE.c.action, actions)}
            new = outputs - found - begun - set(apart)
            found |= new
    return found


def _ancestry(connection: Connection, digest: str) -> tuple[list[LineageEdge], set[str], set[str]]:
    """All edges on the way to an asset, and the assets and actions on it, one generation a round."""
    edges: list[LineageEdge] = []
    assets, actions = {digest}, set[str]()
    new = {digest}
    select = sql.select(EDGE.c.action, EDGE.c.role, EDGE.c.asset)
    while new:
        makers = set[str]()
        outputs = select.where(EDGE.c.direction == "output")
        for action, role, asset in sorted(_chunks(connection, outputs, EDGE.c.asset, new)):
            edges.append(LineageEdge(role=role, source=action, target=asset))
            makers.add(action)
        makers -= actions
        actions |= makers
        used = set[str]()
        inputs = select.where(EDGE.c.direction == "input")
        for action, role, asset in sorted(_chunks(connection, inputs, EDGE.c.action, makers)):
            edges.append(LineageEdge(role=role, source=asset, target=action))
            used.add(asset)
        new = used - assets
        assets |= new
    return edges, assets, actions


def _asset_nodes(
    connection: Connection, digests: Iterable[str], marks: Mapping[str, Sequence[Mark]]
) -> list[tuple[tuple[int, int], AssetNode | ActionNode]]:
    columns = ASSET.c
    query = sql.select(columns.leaf, columns.digest, columns.kind, columns.size, columns.created_at)
    return [
        ((leaf, 1), AssetNode(id=digest, kind=kind, size=size, created_at=at, mark=effect_of(marks.get(digest, ()))))
        for leaf, digest, kind, size, at in _chunks(connection, query, columns.digest, digests)
    ]


def _action_nodes(connection: Connection, keys: Iterable[str]) -> list[tuple[tuple[int, int], AssetNode | ActionNode]]:
    columns = ACTION.c
    query = sql.select(
        columns.leaf,
        columns.key,
        columns.name,
        columns.recipe,
        columns.step,
        columns.run,
        columns.seconds,
        columns.finished_at,
    )
    return [
        ((leaf, 0), ActionNode(id=key, name=name, recipe=recipe, step=step, run=run, seconds=seconds, finished_at=at))
        for leaf, key, name, recipe, step, run, seconds, at in _chunks(connection, query, columns.key, keys)
    ]


def _chunks(
    connection: Connection, query: sql.Select[Any], column: sql.ColumnElement[str], values: Iterable[str]
) -> list[tuple[Any, ...]]:
    """The rows whose `column` is one of `values`, asked for in portions that any database takes."""
    wanted = sorted(values)
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(wanted), _AT_ONCE):
        rows = connection.execute(query.where(column.in_(wanted[start : start + _AT_ONCE])))
        found += [tuple(row) for row in rows]
    return found


def _quoted(text: str) -> str:
    """Text that Mermaid takes literally: everything but plain characters becomes an entity."""
    return "".join(char if char.isalnum() or char in " ._-" else f"#{ord(char)};" for char in text)
