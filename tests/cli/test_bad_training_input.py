"""What cannot be trained on, given to `loresmith run`: one message that names it, status 2, and nothing harmed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file, save_file

from loresmith import Workspace
from tests.cli.conftest import CommandLine
from tests.data.conversations import asked
from tests.models.foreign_templates import DROPS_SYSTEM
from tests.training.tiny_messages import write_chat_base
from tests.training.tiny_tokens import document

SHAPE = {"layers": 1, "width": 32, "head_dim": 16}
TOKENS: dict[str, Any] = {
    "files": {"step": "ingest", "path": "text"},
    "corpus": {"step": "curate", "documents": "files", "minimum_bytes": 1},
    "tokenizer": {"step": "train-tokenizer", "corpus": "corpus", "vocabulary_size": 290},
    "tokens": {"step": "pack", "corpus": "corpus", "tokenizer": "tokenizer"},
}
SMALL = {"sequence_length": 64, "batch_tokens": 128, "micro_batch_tokens": 128}
SYSTEM = {"messages": [{"role": "system", "content": "Be brief."}, *asked("Where?", "Here.")["messages"]]}
IMAGE = [{"type": "image_url", "image_url": {"url": "x.png"}}]


def pretraining(**settings: Any) -> dict[str, Any]:
    return {
        **TOKENS,
        "model": {
            "step": "pretrain",
            "tokens": "tokens",
            "architecture": SHAPE,
            **SMALL,
            "budget_tokens": 256,
            **settings,
        },
    }


def tuning(talks: str, base: str = "whole", **settings: Any) -> dict[str, Any]:
    return {
        "base": {"step": "import-model", "path": f"{base}-base"},
        "talks": {"step": "ingest-messages", "path": talks, "validation_share": 0},
        "model": {"step": "sft", "dataset": "talks", "base": "base", **SMALL, "epochs": 1, **settings},
    }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace beside bases, text and conversations."""
    folder = tmp_path_factory.mktemp("bad-input")
    (folder / "text").mkdir()
    for number in range(40):
        (folder / "text" / f"{number}.txt").write_text(document(number), encoding="utf-8")
    bases = {name: write_chat_base(folder / name).directory for name in ("whole", "nan")}
    nan = bases["nan"]
    weights = load_file(nan / "model.safetensors")
    next(iter(weights.values()))[0] = math.nan
    save_file(weights, nan / "model.safetensors", metadata={"format": "pt"})
    for name, directory in bases.items():
        (folder / f"{name}-base").symlink_to(directory)
    Workspace.init(folder).close()
    talks: Mapping[str, list[Any]] = {
        "bad": [
            asked("Where?", "Here."),
            asked("Where?", ""),
            {"messages": [{"role": "robot", "content": "Beep."}]},
            {"messages": [{"role": "user", "content": IMAGE}, {"role": "assistant", "content": "A cat."}]},
        ],
        "long": [asked("Where?", "Here."), asked("Where?", "There. " * 60)],
        "system": [asked("Where?", "Here."), SYSTEM],
        "few": [asked("Where?", "Here.")],
    }
    for name, records in talks.items():
        (folder / f"{name}.jsonl").write_text(
            "".join(json.dumps(record) + "\n" for record in records), encoding="utf-8"
        )
    (folder / "drops.jinja").write_text(DROPS_SYSTEM, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            tuning("bad.jsonl"),
            [
                *("bad.jsonl:2: empty completion", "bad.jsonl:3: unknown role: ", "known: assistant"),
                *("bad.jsonl:4: ", "no text"),
            ],
        ),
        (tuning("long.jsonl"), ["long.jsonl:2 (record 2)", "longer than the window"]),
        (tuning("system.jsonl", chat_template="drops.jinja"), ["system.jsonl:2 (record 2)", "drops the system prompt"]),
        (tuning("few.jsonl", base="nan"), ["NaN", "model.safetensors"]),
        (tuning("few.jsonl"), ["fewer than one batch"]),
        (pretraining(matrix_learning_rate=0), ["steps.model.matrix_learning_rate", "greater than 0", "recipe.yaml:"]),
        (pretraining(batch_tokens=64 * 10000), ["fewer than one batch of 640000 tokens"]),
        (pretraining(sequence_length=2**17, batch_tokens=2**17), ["longer than the data", "131072"]),
        (pretraining(architecture={**SHAPE, "widht": 3}), ["widht", "width"]),
    ],
)  # fmt: skip
def test_a_run_says_in_one_message_what_cannot_be_trained_on(
    prepared: Path, steps: dict[str, Any], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (prepared / "recipe.yaml").write_text(yaml.safe_dump({"name": "bad", "steps": steps}, sort_keys=False))
    outcome = CommandLine(prepared, capsys)("run", prepared / "recipe.yaml", "--workspace", prepared)
    assert outcome.status == 2
    assert "Traceback" not in outcome.err + outcome.out
    for words in said:
        assert words in " ".join(outcome.err.split())
