"""Small datasets of conversations, as the step makes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loresmith.data.steps import INGEST_MESSAGES
from loresmith.factory.step import Result
from tests.step_context import run_step


def jsonl(records: Sequence[Any]) -> str:
    return "".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records)


def asked(question: str, answer: str = "There.", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **more}


def ingest_messages(path: Path | Sequence[Path], output: Path, **config: Any) -> Result:
    """Run the step on a place or several."""
    places = str(path) if isinstance(path, Path) else [str(place) for place in path]
    return run_step(INGEST_MESSAGES, output / "ingest-messages", {"path": places, **config})


def dataset_of(records: Sequence[Any], folder: Path, **config: Any) -> Path:
    """A dataset of these records."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "talks.jsonl"
    file.write_text(jsonl(records), encoding="utf-8")
    return ingest_messages(file, folder, **config).outputs["dataset"].directory
