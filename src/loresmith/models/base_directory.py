"""Taking over a model from a Hugging Face folder, or from a safetensors file that lies beside its config.json.

Weights are copied to the byte. Of the rest only what a model is goes along: config.json, generation_config.json, the
tokenizer, and the texts of the licence.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from loresmith.ledger.digest import digest_file
from loresmith.models.base_settings import model_config, read_json, refuse_own_code, write_settings
from loresmith.models.base_weights import INDEX, WEIGHTS, require_whole, tensor_sizes

SETTINGS = ("config.json", "generation_config.json")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
)
LICENCE_TEXTS = re.compile(r"(LICEN[CS]E|NOTICE|COPYING)([._-].*)?", re.IGNORECASE)
MODEL_CARD = "README.md"


def folder_of(path: Path) -> Path:
    """The folder of a model that is named by itself or by its safetensors file."""
    return path if path.is_dir() else path.parent


def weights_of(path: Path) -> tuple[Path, ...]:
    """The weight files, found whole.

    Raises:
        UserError: as `require_whole`.
    """
    if path.is_dir():
        return require_whole(path)
    model_config(path.parent)
    tensor_sizes(path)
    return (path,)


def files_of(path: Path) -> Iterator[tuple[str, Path]]:
    """Everything that is read of a model, by the name under which it counts: the same for the same model anywhere."""
    folder = folder_of(path)
    weights = weights_of(path)
    for file in weights:
        yield (WEIGHTS if len(weights) == 1 else file.name), file
    for name in (INDEX, *SETTINGS, *TOKENIZER, MODEL_CARD):
        if (folder / name).is_file() and not (name == INDEX and len(weights) == 1):
            yield name, folder / name
    for file in sorted(folder.iterdir()):
        if LICENCE_TEXTS.fullmatch(file.name) and file.is_file():
            yield file.name, file


def content_of(path: Path) -> dict[str, str]:
    """The SHA-256 of each file that is read of a model, by name."""
    tokenizer = folder_of(path) / "tokenizer_config.json"
    if tokenizer.is_file():
        refuse_own_code(read_json(tokenizer), tokenizer)
    return {name: digest_file(file) for name, file in files_of(path)}


def take_model(path: Path, target: Path) -> None:
    """Copy a model's weights, settings and licence into an empty folder, under the names that transformers expects."""
    for name, file in files_of(path):
        if name in SETTINGS:
            write_settings(read_json(file), target / name)
        elif name not in TOKENIZER and name != MODEL_CARD:
            shutil.copyfile(file, target / name)


def stated_licence(folder: Path) -> str:
    """The licence that the model card's front matter names; empty if none."""
    card = folder / MODEL_CARD
    if not card.is_file():
        return ""
    front = re.match(r"---\n(.*?)\n---\n", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    named = re.search(r"^license:[ \t]*['\"]?([\w.+-]+)['\"]?[ \t]*$", front[1], re.MULTILINE) if front else None
    return named[1] if named else ""
