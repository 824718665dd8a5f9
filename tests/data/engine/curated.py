"""The bytes of a corpus, by the engine that made it: `python -m tests.data.engine.curated ENGINE DOCUMENTS FOLDER`."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Literal

from loresmith.data.steps.curate import CURATE
from loresmith.factory.step import InputAsset
from tests.step_context import RecordingContext, run_step

EngineName = Literal["native", "daft", "ray"]
SETTINGS = {
    "minimum_bytes": 1,
    "drop_near_duplicates": True,
    "containment": 0.9,
    "drop_repeated": ["paragraph"],
    "boilerplate_documents": 20,
}


def curated(engine: EngineName, documents: Path, folder: Path, threads: int = 2) -> dict[str, str]:
    """The digest of every file of the corpus, and what is said of it."""
    context = RecordingContext(folder, threads=threads)
    context.engine = engine
    given = {"documents": InputAsset("0" * 64, "documents", documents, {}, ())}
    made = run_step(CURATE, folder, SETTINGS, given, context).outputs["corpus"]
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(made.directory.rglob("*"))}
    assert made.metadata["repeated_passages"]["paragraph"] > 0
    assert min(made.metadata["duplicates"]["exact"], made.metadata["duplicates"]["contained"]) > 0
    return {**found, "said": json.dumps(made.metadata, sort_keys=True)}


if __name__ == "__main__":
    name, documents, folder = sys.argv[1:]
    print("corpus", json.dumps(curated(name, Path(documents), Path(folder))))  # type: ignore[arg-type]
