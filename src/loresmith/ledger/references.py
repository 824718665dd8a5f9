"""What a person writes for an asset, resolved to its digest."""

from __future__ import annotations

import re

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from loresmith.errors import UserError
from loresmith.ledger.digest import is_digest, parse_json
from loresmith.ledger.runs import HAS_OUTPUTS
from loresmith.ledger.schema import ACTION, ASSET, EDGE, RELEASE_CHANNEL, RUN, RUN_EVENT
from loresmith.nearest import unknown_name

_PREFIX = re.compile(r"[0-9a-f]{8,63}")


def resolve(connection: Connection, reference: str, kind: str | None = None) -> str:
    """The digest that a reference (see `Assets.find`) stands for. Raises UserError, with the nearest names."""
    if "/" in reference:
        return _made_by(connection, reference, kind)
    if _PREFIX.fullmatch(reference):
        return _beginning_with(connection, reference)
    return _released(connection, reference)


def release_in(reference: str) -> tuple[str, str] | None:
    """The release that a reference names, and its channel (empty where it is left open); None where it names none."""
    if not reference or "/" in reference or is_digest(reference) or _PREFIX.fullmatch(reference):
        return None
    name, _, channel = reference.partition("@")
    return name, channel


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
        promote = f"`loresmith releases promote {name} {name}@{min(found)} --because ...` points production at it"
        raise UserError(
            unknown_name("channel", channel, found, inside=f"release {name}"),
            hint=promote if channel == "production" else None,
        )
    known = connection.execute(sql.select(channels.name).distinct()).scalars()
    raise UserError(
        unknown_name("release", name, known),
        hint="`loresmith releases promote NAME ASSET --because ...` makes a release of an asset"
        if at
        else "an asset is written as a digest, release, release@channel, recipe/step or recipe/step.output",
    )


def _made_by(connection: Connection, reference: str, kind: str | None) -> str:
    recipe, _, rest = reference.partition("/")
    name, dot, role = rest.partition(".")
    key = _newest_action(connection, recipe, name)
    if key is None:
        action, event = ACTION.c, RUN_EVENT.c
        ended = sql.select(RUN.c.recipe, event.step).join_from(RUN_EVENT, RUN, event.run == RUN.c.id)
        known = sql.union(
            sql.select(action.recipe, action.name), ended.where(event.kind.in_(HAS_OUTPUTS), event.step.is_not(None))
        )
        made = [f"{its_recipe}/{its_name}" for its_recipe, its_name in connection.execute(known)]
        raise UserError(unknown_name("finished step", f"{recipe}/{name}", made))
    edges = (
        sql.select(EDGE.c.role, EDGE.c.asset, ASSET.c.kind)
        .join_from(EDGE, ASSET, EDGE.c.asset == ASSET.c.digest)
        .where(EDGE.c.action == key, EDGE.c.direction == "output")
        .order_by(EDGE.c.role)
    )
    found = list(connection.execute(edges))
    outputs = {str(its_role): str(asset) for its_role, asset, _ in found}
    if dot:
        if role not in outputs:
            raise UserError(unknown_name("output", role, outputs, inside=f"{recipe}/{name}"))
        return outputs[role]
    # A step alone stands for what is wanted here, or for what it made besides reports.
    meant = [asset for _, asset, its_kind in found if its_kind == kind] if kind is not None else []
    meant = meant or [asset for _, asset, its_kind in found if its_kind != "report"] or list(outputs.values())
    if len(meant) != 1:
        choices = ", ".join(f"{recipe}/{name}.{each}" for each in outputs)
        raise UserError(f"{recipe}/{name} has {len(outputs)} outputs", where=reference, hint=f"one of {choices}")
    return str(meant[0])


def _newest_action(connection: Connection, recipe: str, name: str) -> str | None:
    """The key of the action that stood last for a step of a recipe: the one it made, or the one it found done."""
    action, event = ACTION.c, RUN_EVENT.c
    made = sql.select(action.leaf, action.key).where(action.recipe == recipe, action.name == name)
    seen = (
        sql.select(event.leaf, event.data)
        .join_from(RUN_EVENT, RUN, event.run == RUN.c.id)
        .where(RUN.c.recipe == recipe, event.step == name, event.kind.in_(HAS_OUTPUTS))
    )
    newest_made = connection.execute(made.order_by(action.leaf.desc()).limit(1)).first()
    newest_seen = connection.execute(seen.order_by(event.leaf.desc()).limit(1)).first()
    if newest_seen is not None and (newest_made is None or newest_seen.leaf > newest_made.leaf):
        key = parse_json(newest_seen.data).get("key")
        if key is not None:
            return str(key)
    return None if newest_made is None else str(newest_made.key)
