"""Bringing a base model into a workspace: two assets and, where its weights were rewritten, a receipt."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loresmith.errors import Failure
from loresmith.ledger import Asset
from loresmith.models.base_source import BaseSource

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class BroughtIn(NamedTuple):
    """What came in, and what comparing it with its source showed; None where its weights were copied as they are."""

    model: Asset
    tokenizer: Asset
    parity: Mapping[str, Any] | None


def bring_in(workspace: Workspace, source: BaseSource, say: Callable[[str], None]) -> BroughtIn:
    """Import a base model; the same source gives the same assets as the step `import-model`.

    Args:
        say: told what is done next.

    Raises:
        UserError, Failure: as `import_base`; the ledger is as it was.
    """
    from loresmith.models.base_import import import_base

    ledger = workspace.ledger
    with tempfile.TemporaryDirectory(prefix="import-", dir=workspace.place.state) as name:
        model, tokenizer, scratch = (Path(name) / part for part in ("model", "tokenizer", "scratch"))
        for folder in (model, tokenizer, scratch):
            folder.mkdir()
        made = import_base(source, model, tokenizer, scratch, say)
        if made.parity is not None and not made.parity["passed"]:
            raise Failure(f"the imported model computes something else than its source: {made.parity}")
        say("storing")
        found = ledger.assets.add("model", model, made.model, source.labels, move=True)
        alone = ledger.assets.add("tokenizer", tokenizer, made.tokenizer, source.labels, move=True)
    if made.parity is not None and not ledger.receipts.list(found.digest):
        ledger.receipts.add(found.digest, "import-parity", True, made.parity)
    return BroughtIn(found, alone, made.parity)
