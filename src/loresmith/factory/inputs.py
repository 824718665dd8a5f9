"""An input of a step as its process gets it, hashed again before it is read."""

from __future__ import annotations

from loresmith.errors import Failure
from loresmith.factory.step import InputAsset
from loresmith.ledger import Ledger

VERIFIED_BYTES = 4 << 30
"""Inputs up to this size are hashed again before a step reads them: a few seconds against hours on damaged data."""


def input_asset(ledger: Ledger, name: str, role: str, digest: str) -> InputAsset:
    """The asset of this digest, to read, for the input `role` of the step `name`.

    Raises:
        Failure: its files are damaged.
    """
    asset = ledger.assets.get(digest)
    if asset.size <= VERIFIED_BYTES:
        require_undamaged(ledger, digest, f"the input {role!r}", f"step {name!r}")
    return InputAsset(
        digest=digest,
        kind=asset.kind,
        directory=ledger.assets.directory(digest),
        metadata=asset.metadata,
        labels=asset.labels,
    )


def require_undamaged(ledger: Ledger, digest: str, called: str, where: str) -> None:
    """Raise Failure if a file of the asset is not what it was."""
    problems = ledger.assets.verify(digest).problems
    if problems:
        raise Failure(
            f"{called} is damaged: {problems[0]}",
            where=where,
            hint=f"`loresmith assets verify {digest[:12]}` lists all damage; restore the blob from a copy",
        )
