"""What a new workspace starts with: a recipe that runs, and some texts to try it with."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path

from loresmith.errors import UserError, os_failure

RECIPE_NAME = "recipe.yaml"
DOCUMENTS_NAME = "documents"


def start(folder: Path, documents: Path | None) -> list[Path]:
    """Write the starter recipe, and texts if the recipe has no other documents; what is there is left alone.

    Args:
        folder: the workspace's.
        documents: the folder that the recipe is to read; None for `documents` in the workspace.

    Returns:
        What was written.

    Raises:
        UserError: the folder of documents is not there.
    """
    if documents is not None and not documents.is_dir():
        raise UserError("there is no such folder", where=str(documents), hint="it is where the recipe finds your files")
    try:
        return _written(folder, documents)
    except OSError as error:
        raise os_failure(error, where=str(folder)) from error


def _written(folder: Path, documents: Path | None) -> list[Path]:
    written = []
    recipe = folder / RECIPE_NAME
    if not recipe.exists():
        template = files("loresmith.sdk").joinpath("starter.yaml").read_text(encoding="utf-8")
        place = DOCUMENTS_NAME if documents is None else str(documents.absolute())
        recipe.write_text(template.replace("@DOCUMENTS@", _quoted(place)), encoding="utf-8")
        written.append(recipe)
    texts = folder / DOCUMENTS_NAME
    if documents is None and not texts.exists():
        _write_texts(texts)
        written.append(texts)
    return written


def _write_texts(folder: Path) -> None:
    """The reference texts that every Python carries for its own `help()`: real English on one subject, 700 kB of it."""
    from pydoc_data.topics import topics

    making = folder.with_name(f".{folder.name}")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    for name, text in sorted(topics.items()):
        (making / f"{name}.txt").write_text(text, encoding="utf-8")
    making.rename(folder)


def _quoted(text: str) -> str:
    """Text as a YAML scalar in double quotes, which is that of JSON."""
    return json.dumps(text, ensure_ascii=False)
