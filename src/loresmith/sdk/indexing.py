"""An index of a corpus: a plan of one step, that nobody has to write down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from loresmith.errors import UserError
from loresmith.factory.plan import make_plan
from loresmith.factory.recipe import parse_recipe
from loresmith.factory.run import CACHES, Observer
from loresmith.yaml_lines import load_yaml

if TYPE_CHECKING:
    from loresmith.sdk.runs import RunHandle
    from loresmith.sdk.workspace import Workspace

STEP = "passages"


def build_index(
    workspace: Workspace,
    corpus: str,
    observer: Observer | None = None,
    *,
    name: str = "index",
    embedder: str | None = None,
    settings: Sequence[str] = (),
) -> RunHandle:
    """Index a corpus, as a run of the workspace; what it makes is found as `NAME/passages`.

    Args:
        corpus: a reference to the asset.
        observer: called with every event of the run.
        name: of the recipe that is carried out.
        embedder: `none`, `minilm`, a model asset, or a folder with an embedder; by default `minilm` where it is
            installed, and `none` elsewhere.
        settings: others of the step `index`, such as `words=200`.

    Raises:
        UserError: there is no such asset, no such setting, or nothing that may be retrieved.
        Interrupted: Ctrl-C; the next call goes on from there.
    """
    from loresmith.serving.retrieval.embedders.minilm import is_installed

    ledger = workspace.ledger
    keys: dict[str, Any] = {"step": "index", "corpus": ledger.assets.find(corpus, kind="corpus").digest}
    if embedder is None:
        embedder = "minilm" if is_installed() else "none"
    if embedder in ("minilm", "none"):
        keys["embedder"] = embedder
    elif (workspace.place.folder / embedder).is_dir():
        keys |= {"embedder": "folder", "embedder_folder": str((workspace.place.folder / embedder).absolute())}
    else:
        keys |= {"embedder": "model", "model": _model(workspace, embedder)}
    written = load_yaml(json.dumps({"name": name, "steps": {STEP: keys}}), "the settings of index")
    recipe = parse_recipe(written, workspace.place.folder, [f"steps.{STEP}.{setting}" for setting in settings])
    return workspace.run(make_plan(recipe, ledger, workspace.place.state / CACHES), observer)


def _model(workspace: Workspace, embedder: str) -> str:
    try:
        return workspace.ledger.assets.find(embedder, kind="model").digest
    except UserError as error:
        raise UserError(
            f"there is no embedder {embedder!r}: it is neither `minilm` nor `none` nor a folder, and {error.what}",
            where="--embedder",
        ) from None
