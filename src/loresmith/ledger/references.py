"""What a person writes for an asset, resolved to its digest."""

from __future__ import annotations

import re

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from loresmith.errors import UserError
from loresmith.ledger.schema import ACTION, ASSET, EDGE, RELEASE_CHANNEL
from loresmith.nearest import unknown_name

_PREFIX = re.compile(r"[0-9a-f]{8,63}")


def resolve(connection: Connection, reference: str) -> str:
    """The digest that a reference (see `Assets.find`) stands for. Raises UserError, with the nearest names."""
    if "/" in reference:
        return _made_by(connection, reference)
    if _PREFIX.fullmatch(reference):
        return _beginning_with(connection, reference)
    return _released(connection, reference)


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
    query = sql.select(channels.channel, channels.asset).where(channels.name == name)
    found = {str(its_channel): str(asset) for its_channel, asset in connection.execute(query)}
    for wanted in [channel] if at else ["production", "candidate"]:
        if wanted in found:
            return found[wanted]
    if found:
        raise UserError(unknown_name("channel", channel, found, inside=f"release {name}"))
    known = connection.execute(sql.select(channels.name).distinct()).scalars()
    raise UserError(
        unknown_name("release", name, known),
        hint="an asset is written as a digest, release, release@channel, recipe/step or recipe/step.output",
    )


def _made_by(connection: Connection, reference: str) -> str:
    recipe, _, rest = reference.partition("/")
    name, dot, role = rest.partition(".")
    action = ACTION.c
    newest = sql.select(action.key).where(action.recipe == recipe, action.name == name).order_by(action.leaf.desc())
    key = connection.execute(newest.limit(1)).scalar()
    if key is None:
        known = connection.execute(sql.select(action.recipe, action.name).distinct())
        made = [f"{its_recipe}/{its_name}" for its_recipe, its_name in known]
        raise UserError(unknown_name("finished step", f"{recipe}/{name}", made))
    edges = sql.select(EDGE.c.role, EDGE.c.asset).where(EDGE.c.action == key, EDGE.c.direction == "output")
    outputs = {str(its_role): str(asset) for its_role, asset in connection.execute(edges)}
    if dot:
        if role not in outputs:
            raise UserError(unknown_name("output", role, outputs, inside=f"{recipe}/{name}"))
        return outputs[role]
    if len(outputs) != 1:
        choices = ", ".join(f"{recipe}/{name}.{each}" for each in sorted(outputs))
        raise UserError(f"{recipe}/{name} has {len(outputs)} outputs", where=reference, hint=f"one of {choices}")
    return next(iter(outputs.values()))
