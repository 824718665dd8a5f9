"""One gateway with everything that the faces show: a grounded model, guards, an embedder, labels, three callers."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loresmith import Workspace
from tests.advice.corpora import document
from tests.serving.gateway.gateways import RunningGateway, add_release, certify_unseen, make_key, write_config
from tests.serving.retrieval.indexes import build

FORBIDDEN = "the red folder"
"""What a guard refuses, coming in or going out."""

STATED = "We do not speak of the red folder."
PUMP = "The filter of the pump is behind the panel and is cleaned weekly."
EDGES = "<script>document.title = 'stolen'</script>"


@dataclass(frozen=True)
class Face:
    """A gateway at work, and whose keys there are.

    Attributes:
        ada: holds the label `clinical`.
        bob: holds none.
        eve: holds `clinical`, but the policy forbids her to give feedback, and answers of more than 400 tokens.
    """

    gateway: RunningGateway
    workspace: Path
    ada: str
    bob: str
    eve: str
    config: Path

    def openai(self, key: str | None = None) -> Any:
        return self.gateway.openai(self.ada if key is None else key)


def configuration(folder: Path) -> dict[str, Any]:
    """The configuration; makes the assets that it names."""
    rows = [document("pump.md", PUMP, pages=[]), document("ward/dose.md", "One gram against fever.")]
    index = build(folder, rows, embedder="minilm").outputs["index"].directory
    with Workspace.init(folder) as workspace:
        add_wide_release(workspace, folder)
        hidden = add_release(workspace, folder, ("clinical",), "hidden", "llama")
        passages = workspace.ledger.assets.add("index", index, {}, ()).digest
    (folder / "eve.cedar").write_text(
        'forbid (principal == User::"eve", action == Action::"feedback", resource);\n'
        'forbid (principal == User::"eve", action == Action::"complete", resource)\n'
        "when { context has tokens && context.tokens > 400 };\n"
    )
    model = {"release": "acme", "slots": 4, "window": 2048, "answer_tokens": 24, "threads": 1}
    everybody = {"members": ["user:ada", "user:bob", "user:eve"]}
    return {
        "models": {"acme": model},
        "groups": {"staff": everybody, "ward": {"members": ["user:ada", "user:eve"], "labels": ["clinical"]}},
        "policy": {"files": ["eve.cedar"]},
        "guards": [
            {
                "kind": "deny",
                "phrases": [FORBIDDEN],
                "on": ["input", "output"],
                "action": "refuse",
                "message": STATED,
            },
            {"kind": "privacy", "on": ["input"], "finds": ["email"], "action": "redact"},
        ],
        "retrieval": {"index": passages, "passages": 1, "least_cosine": 0.4, "instructions": "Cite."},
        "embeddings": {"meaning": {"index": passages}, "ward-states": {"model": hidden}},
    }


def add_wide_release(workspace: Workspace, folder: Path) -> None:
    """As `add_release`, with room for tools in the window."""
    tiny = workspace.ledger.assets.directory(add_release(workspace, folder))
    wide = folder / "wide"
    shutil.copytree(tiny, wide)
    config = json.loads((wide / "config.json").read_text())
    (wide / "config.json").unlink()
    (wide / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 2048}))
    digest = workspace.ledger.assets.add("model", wide).digest
    certify_unseen(workspace, digest)
    workspace.ledger.releases.promote("acme", digest, "production", "a wider window")


def begin(folder: Path) -> Face:
    """Start it; whoever asked for it ends it by `gateway`."""
    config = configuration(folder)
    file = write_config(folder, config)
    keys = [make_key(folder, f"user:{name}") for name in ("ada", "bob", "eve")]
    return Face(RunningGateway(folder, file), folder, *keys, file)
