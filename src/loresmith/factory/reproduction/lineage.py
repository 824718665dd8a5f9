"""Which actions an asset came from, in the order in which they can be carried out again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from loresmith.errors import UserError
from loresmith.ledger import Action, Asset, Ledger


@dataclass(frozen=True)
class Ancestor:
    """One action of a lineage.

    Attributes:
        name: `recipe/step`; unique in the lineage.
        makers: the key of the action that made an input, by role; what was added by hand is not in it.
        needed: the outputs that lead to the asset.
    """

    action: Action
    name: str
    makers: Mapping[str, str]
    needed: frozenset[str]


def ancestors(ledger: Ledger, asset: Asset) -> list[Ancestor]:
    """The actions that an asset came from, each after those that made its inputs.

    Where several actions made the same asset, the first one counts: it is the one that made it come into being. What
    an action used was there before it, so that only those that stand earlier in the log can have made it.

    Raises:
        UserError: no action made the asset.
    """
    lineage = ledger.lineage(asset.digest)
    place = {node.id: number for number, node in enumerate(lineage.nodes)}
    makers: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))  # asset -> action -> roles
    for edge in lineage.edges:
        makers[edge.target][edge.source].add(edge.role)
    needed: dict[str, set[str]] = defaultdict(set)

    def first_maker(digest: str, before: float) -> str | None:
        earlier = [key for key in makers[digest] if place[key] < before]
        if not earlier:
            return None
        key = min(earlier, key=place.__getitem__)
        needed[key] |= makers[digest][key]
        return key

    last = first_maker(asset.digest, float("inf"))
    if last is None:
        raise UserError(
            "this asset was added by hand: no step made it, so there is nothing to run again", where=asset.digest[:12]
        )
    found: dict[str, tuple[Action, dict[str, str]]] = {}
    waiting = [last]
    while waiting:
        key = waiting.pop()
        if key in found:
            continue
        action = ledger.actions.find(key)
        assert action is not None
        before = {role: first_maker(digest, place[key]) for role, digest in action.inputs.items()}
        found[key] = action, {role: maker for role, maker in before.items() if maker is not None}
        waiting += found[key][1].values()
    names = Counter(_name(action) for action, _ in found.values())
    return [
        Ancestor(
            action=action,
            name=_name(action) if names[_name(action)] == 1 else f"{_name(action)} ({key[:8]})",
            makers=found[key][1],
            needed=frozenset(needed[key]),
        )
        for key, (action, _) in sorted(found.items(), key=lambda item: place[item[0]])
    ]


def _name(action: Action) -> str:
    return f"{action.recipe}/{action.name}"
