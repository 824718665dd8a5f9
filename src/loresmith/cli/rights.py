"""The rights of a corpus, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loresmith.cli.screen import Screen, size, visible

_KINDS = {"licences": "licence", "owners": "owner", "uses": "may", "labels": "label"}


def rights_of(metadata: Mapping[str, Any]) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
    """What the metadata of a corpus says of them; of any other asset nothing."""
    rights = metadata.get("rights")
    if not isinstance(rights, Mapping) or not set(rights) <= set(_KINDS):
        return {}
    return rights


def show_rights(rights: Mapping[str, Mapping[str, Mapping[str, int]]], screen: Screen) -> None:
    """A table: documents and bytes under each licence, of each owner, by what they may be used for, by label."""
    screen.table(
        ("rights", "", "documents", "text"),
        (
            (_KINDS[kind], visible(name), f"{amount['documents']:,}", size(amount["bytes"]))
            for kind, amounts in rights.items()
            for name, amount in amounts.items()
        ),
        right=("documents", "text"),
    )
