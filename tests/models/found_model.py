"""A model's folder as one finds it, and what tests do with it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from loresmith.factory.step import Result
from loresmith.models.steps import IMPORT_MODEL, ImportModelConfig
from loresmith.models.storage import save_model
from tests.models.test_storage import small
from tests.models.tiny_tokenizer import make_tokenizer
from tests.step_context import run_step


def found_folder(folder: Path) -> Path:
    """A folder as one finds it: a model, its tokenizer, a card, a licence, and things that are none of a model's."""
    make_tokenizer().save_pretrained(folder.parent / "tokenizer")
    save_model(small(), folder, folder.parent / "tokenizer")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    (folder / "LICENSE").write_text("do as you like\n")
    (folder / "training_args.bin").write_bytes(pickle.dumps({"lr": 1}))
    (folder / "modeling_own.py").write_text("raise SystemExit('this ran')\n")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_name_or_path": str(folder)}))
    return folder


def run_import(target: Path, **config: Any) -> Result:
    settings = ImportModelConfig.model_validate(config)
    assert IMPORT_MODEL.fingerprint is not None
    IMPORT_MODEL.fingerprint(settings)
    return run_step(IMPORT_MODEL, target, config)


def change(file: Path, **keys: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))


def shard(folder: Path) -> Path:
    """Split the weights over two files; returns the index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
    for file, held in parts.items():
        save_file({name: weights[name] for name in held}, folder / file, {"format": "pt"})
    index = folder / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"metadata": {}, "weight_map": {name: file for file, held in parts.items() for name in held}})
    )
    return index
