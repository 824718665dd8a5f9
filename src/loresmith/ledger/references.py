"""What a person writes for an asset, resolved to its digest."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from loresmith.errors import UserError
from loresmith.ledger.schema import ACTION, ASSET, EDGE, RELEASE_CHANNEL

_PREFIX = re.compile(r"[0-9a-f]{8,63}")


def resolve(connection: Connection, reference: str) -> str:
    """The digest that a reference (see `Assets.find`) stands for. Raises UserError, with the nearest names."""
    if "/" in reference:
        return _made_by(connection, reference)
    if _PREFIX.fullmatch(reference):
        return _beginning_with(connection, reference)
    return _released(connection, reference)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """A hint that names what there is, nearest first; None if there is nothing."""
    known = sorted(set(names))
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known[:10]
    return f"did you mean {', '.join(close)}?" if close else None


def _beginning_with(connection: Connection, prefix: str) -> str:
    # A range over the index instead of LIKE, which uses none here.
    query = sql.select(ASSET.c.digest).where(ASSET.c.digest >= prefix, ASSET.c.digest < prefix + "g")
    found = list(connection.execute(query.limit(3)).scalars())
    if not found:
        raise UserError(f"no asset's digest begins with {prefix}", hint="`loresmith assets ls` lists them")
    if len(found) > 1:
        raise UserError(f"more than one asset's digest begins with {prefix}", hint=f"such as {' and '.join(found[:2])}")
    return str(found[0])


def _released(connection: Connection, reference: str) -> str:
    name, at, channel = reference.partition("@")
    channels = RELEASE_CHANNEL.c
    found = dict(
        connection.execute(sql.select(channels.channel, channels.asset).where(channels.name == name)).tuples().all()
    )
    for wanted in [channel] if at else ["production", "candidate"]:
        if wanted in found:
            return found[wanted]
    if found:
        raise UserError(f"the release {name} has no channel {channel}", where=reference, hint=nearest(channel, found))
    known = list(connection.execute(sql.select(channels.name).distinct()).scalars())
    raise UserError(f"there is no release {name}", where=reference, hint=nearest(name, known))


def _made_by(connection: Connection, reference: str) -> str:
    recipe, _, rest = reference.partition("/")
    name, dot, role = rest.partition(".")
    query = (
        sql.select(ACTION.c.key)
        .where(ACTION.c.recipe == recipe, ACTION.c.name == name)
        .order_by(ACTION.c.leaf.desc())
        .limit(1)
    )
    action = connection.execute(query).scalar()
    if action is None:
        known = connection.execute(sql.select(ACTION.c.recipe, ACTION.c.name).distinct()).tuples()
        made = [f"{its_recipe}/{its_name}" for its_recipe, its_name in known]
        raise UserError(
            f"no step {name} of a recipe {recipe} has finished", where=reference, hint=nearest(f"{recipe}/{name}", made)
        )
    edges = sql.select(EDGE.c.role, EDGE.c.asset).where(EDGE.c.action == action, EDGE.c.direction == "output")
    outputs = dict(connection.execute(edges).tuples().all())
    if dot:
        if role not in outputs:
            raise UserError(f"{recipe}/{name} has no output {role}", where=reference, hint=nearest(role, outputs))
        return outputs[role]
    if len(outputs) != 1:
        choices = ", ".join(f"{recipe}/{name}.{each}" for each in sorted(outputs))
        raise UserError(f"{recipe}/{name} has {len(outputs)} outputs", where=reference, hint=f"one of {choices}")
    return next(iter(outputs.values()))
