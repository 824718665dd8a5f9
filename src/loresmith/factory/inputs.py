"""An input of a step as its process gets it, hashed again before it is read."""

from __future__ import annotations

from loresmith.errors import Failure, UserError
from loresmith.factory.step import InputAsset
from loresmith.ledger import Asset, Ledger

VERIFIED_BYTES = 4 << 30
"""Inputs up to this size are hashed again before a step reads them: a few seconds against hours on damaged data."""


def input_asset(ledger: Ledger, name: str, role: str, digest: str) -> InputAsset:
    """The asset of this digest, to read, for the input `role` of the step `name`.

    Raises:
        UserError: files of it were erased.
        Failure: its files are damaged.
    """
    asset = _with_content(ledger, digest, f"the input {role!r}", f"step {name!r}")
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
    """Raise if a file of the asset is not what it was: UserError if it was erased, Failure if it is damaged."""
    _with_content(ledger, digest, called, where)
    problems = ledger.assets.verify(digest).problems
    if problems:
        raise Failure(
            f"{called} is damaged: {problems[0]}",
            where=where,
            hint=f"`loresmith assets verify {digest[:12]}` lists all damage; restore the blob from a copy",
        )


def _with_content(ledger: Ledger, digest: str, called: str, where: str) -> Asset:
    try:
        return ledger.assets.require_content(digest)
    except UserError as error:
        raise UserError(f"{called}: {error.what}", where=f"{where}, {error.where}", hint=error.hint) from None
