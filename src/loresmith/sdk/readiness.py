"""What a corpus is enough for: a plan of one step, that nobody has to write down, and the report that comes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.advice.readiness import Readiness
from loresmith.errors import Failure
from loresmith.factory.plan import Plan, make_plan
from loresmith.factory.recipe import parse_recipe
from loresmith.factory.run import CACHES, Observer
from loresmith.yaml_lines import load_yaml

if TYPE_CHECKING:
    from loresmith.ledger import Ledger
    from loresmith.sdk.assets import AssetHandle
    from loresmith.sdk.workspace import Workspace

RECIPE = "readiness"
STEP = "report"
HTML = "readiness.html"
JSON = "readiness.json"


@dataclass(frozen=True)
class ReadinessReport:
    """A report, the run that made it (or found it made), and the asset: readiness.html and readiness.json."""

    content: Readiness
    run: str
    asset: AssetHandle

    @property
    def html(self) -> Path:
        """The page for people, in the workspace."""
        return self.asset.directory / HTML


def report_readiness(
    workspace: Workspace,
    corpus: str,
    observer: Observer | None = None,
    *,
    tokenizer: str | None = None,
    pilot: bool = True,
    settings: Sequence[str] = (),
) -> ReadinessReport:
    """Look at a corpus from all sides, as a run of the workspace.

    Args:
        corpus, tokenizer: references to assets; a small tokenizer is learnt from the corpus where none is given.
        observer: called with every event of the run.
        pilot: whether small models are trained, which takes a few minutes.
        settings: others of the step `readiness`, such as `pilot_tokens=5M`.

    Raises:
        UserError: there is no such asset, or no such setting.
        Interrupted: Ctrl-C; the next call goes on from there.
    """
    plan = _plan(workspace.ledger, workspace.place.state / CACHES, corpus, tokenizer, pilot, settings)
    handle = workspace.run(plan, observer)
    asset = workspace.assets[handle.actions()[STEP].outputs["report"]]
    try:
        written = (asset.directory / JSON).read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(f"the report cannot be read: {error.strerror}", where=asset.digest) from None
    return ReadinessReport(Readiness.model_validate_json(written), handle.id, asset)


def _plan(
    ledger: Ledger, caches: Path, corpus: str, tokenizer: str | None, pilot: bool, settings: Sequence[str]
) -> Plan:
    asset = ledger.assets.find(corpus, kind="corpus")
    keys: dict[str, Any] = {"step": "readiness", "corpus": asset.digest}
    if tokenizer is not None:
        keys["tokenizer"] = ledger.assets.find(tokenizer, kind="tokenizer").digest
    if not pilot:
        keys["pilot"] = False
    checks = [action.outputs["report"] for action in ledger.actions.that_took(asset.digest, "contamination")]
    if checks:
        keys["contamination"] = list(dict.fromkeys(checks))
    written = load_yaml(json.dumps({"name": RECIPE, "steps": {STEP: keys}}), "the settings of readiness")
    recipe = parse_recipe(written, Path.cwd(), [f"steps.{STEP}.{setting}" for setting in settings])
    return make_plan(recipe, ledger, caches)
