"""One gateway with everything that watches it: spans, the traffic sample, and guards that hold answers to schemas and
to passages. What its model says is prescribed by the requests (`guided_regex`)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loresmith import Workspace
from loresmith.serving.traffic_sample.reading import read_sample
from loresmith.serving.traffic_sample.sampler import FOLDER
from tests.advice.corpora import document
from tests.serving.gateway.gateways import RunningGateway, add_release, make_key, write_config
from tests.serving.gateway.house import wait_until
from tests.serving.retrieval.indexes import build

FORBIDDEN, STATED = "pangolin", "Pangolins are not spoken of."
PASSAGE = "The filter of the pump is behind the panel and is cleaned weekly, says the wardcanary."
PATH = "manuals/pathcanary.md"
ABOUT_IT = "Where is the filter of the pump?"

_EXPORTER = """
import os
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

class Exporter(SpanExporter):
    def export(self, spans):
        with open(os.environ["SPANS_FILE"], "a") as file:
            file.writelines(span.to_json(indent=None) + "\\n" for span in spans)
        return SpanExportResult.SUCCESS
"""


@dataclass(frozen=True)
class Observed:
    """A gateway at work; Ada is an administrator and holds no label.

    Attributes:
        index: the digest of the index that it answers from.
    """

    gateway: RunningGateway
    workspace: Path
    ada: str
    index: str
    file: Path

    def ask(self, path: str = "/v1/chat/completions", headers: dict[str, str] | None = None, **body: Any) -> Any:
        """What comes back for a body, of which the usual is left out."""
        usual: dict[str, Any] = {"model": "acme"}
        if path == "/v1/chat/completions":
            usual["messages"] = [{"role": "user", "content": body.pop("text", "Hi")}]
        with self.gateway.client(self.ada) as client:
            return client.post(path, json={**usual, **body}, headers=headers or {})

    def spans(self) -> list[dict[str, Any]]:
        """All that were sent so far."""
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().splitlines() if line.endswith("}")]

    def span(self, response: str) -> dict[str, Any]:
        """That of a response, once it was sent."""

        def found() -> list[dict[str, Any]]:
            return [span for span in self.spans() if span["attributes"].get("gen_ai.response.id") == response]

        wait_until(found)
        (span,) = found()
        return span

    def sampled(self, response: str) -> dict[str, Any]:
        """The row of a response in the traffic sample, once it was written."""

        def found() -> list[dict[str, Any]]:
            with Workspace.open(self.workspace) as opened:
                folder = opened.place.state / FOLDER
            return [row for row in read_sample(folder) if row["response"] == response]

        wait_until(found)
        (row,) = found()
        return row


def open_observed(folder: Path) -> Observed:
    """Start it; whoever asked for it ends it by `gateway`."""
    index = build(folder, [document(PATH, PASSAGE)], embedder="minilm").outputs["index"].directory
    workspace = folder / "workspace"
    with Workspace.init(workspace) as opened:
        add_release(opened, workspace)
        passages = opened.ledger.assets.add("index", index, {}, ()).digest
    config = write_config(
        folder,
        {
            "models": {"acme": {"release": "acme", "window": 4096, "slots": 4, "threads": 1}},
            "standby": False,
            "groups": {"admins": {}},
            "policy": {"administrators": ["admins"]},
            "guards": [
                {"kind": "deny", "phrases": [FORBIDDEN], "on": ["input", "output"], "message": STATED},
                {"kind": "privacy", "on": ["input"], "finds": ["email"]},
                {"kind": "schema"},
                {"kind": "grounding"},
            ],
            "retrieval": {"index": passages, "passages": 2, "least_cosine": 0.4, "instructions": "Cite."},
            "traffic_sample": {"embeddings": True, "flush_seconds": 0.3},
        },
    )
    file = folder / "spans.jsonl"
    environment = {
        "OTEL_TRACES_EXPORTER": "to-a-file",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "PYTHONPATH": os.pathsep.join([str(with_exporter(folder)), os.environ.get("PYTHONPATH", "")]),
        "SPANS_FILE": str(file),
    }
    key = make_key(workspace, "user:ada", "admins")
    gateway = RunningGateway(workspace, config, environment=environment)
    return Observed(gateway, workspace, key, passages, file)


def with_exporter(folder: Path) -> Path:
    """A folder for PYTHONPATH with an installed package whose exporter `to-a-file` writes spans to SPANS_FILE."""
    packages = folder / "packages"
    installed = packages / "spans_to_a_file-1.dist-info"
    installed.mkdir(parents=True)
    (packages / "spans_to_a_file.py").write_text(_EXPORTER)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: spans-to-a-file\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(
        "[opentelemetry_traces_exporter]\nto-a-file = spans_to_a_file:Exporter\n"
    )
    return packages
