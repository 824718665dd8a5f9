"""The receipt of a comparison, and whether it is still about the software that there is."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loresmith.ledger.digest import digest_file, digest_of
from loresmith.ledger.receipts import Receipt
from loresmith.serving.parity.asking import Answered
from loresmith.serving.parity.comparison import Comparison
from loresmith.serving.parity.prompts import prompt_set_digest

PARITY = "engine-parity"
"""The kind of the receipt."""

_EXPORTED = ("openvino_model.xml", "openvino_model.bin")

_PACKAGES = {
    "torch": ("loresmith", "torch", "transformers", "llvmlite"),
    "openvino": ("openvino-genai",),
    "openai": (),
}
"""By engine, the packages here whose code decides what it computes; a remote server's version stands for itself."""


def evidence(answered: Answered, comparison: Comparison, more: Mapping[str, Any]) -> dict[str, Any]:
    """What a receipt says.

    Args:
        more: what else belongs to it, such as the digest of an export.
    """
    facts = answered.facts
    said = {
        "engine": facts.engine,
        "precision": facts.precision,
        "path": facts.path,
        "engine_version": facts.version,
        "versions": versions(),
        "processor": processor(),
        "prompt_set": prompt_set_digest(),
        "prompts": len(answered.prompts),
        "left_out": dict(answered.left_out),
        "compared_with": "transformers in fp32, told the engine's own tokens",
        **comparison.described(),
        **more,
    }
    why = comparison.because()
    return {**said, "because": "; ".join(why)} if why else said


def receipt_covers(receipt: Receipt, engine: str, precision: str, engine_version: str = "", by: str = "") -> str | None:
    """Why a receipt is not about an engine at a precision with the software of today; None where it is.

    Args:
        engine_version: of the engine that runs now, where it is known: a remote server says it when it is asked.
        by: what computes the model, see `computed_by`.
    """
    said = receipt.evidence
    if receipt.kind != PARITY:
        return f"it is about {receipt.kind}"
    if (said.get("engine"), said.get("precision")) != (engine, precision):
        return f"it is about {said.get('engine')} at {said.get('precision')}"
    if said.get("computed_by", "") != by:
        return "it is about another server" if engine == "openai" else "it is about another export of the model"
    for package in _PACKAGES.get(engine, ()):
        then, now = said.get("versions", {}).get(package, ""), installed(package)
        if _minor(then) != _minor(now):
            return f"{package} was {then or 'not there'} when it was made, and is {now or 'not there'} now"
    then = said.get("engine_version", "")
    if engine_version and _minor(then) != _minor(engine_version):
        return f"{engine} was {then or 'of an unknown version'} when it was made, and is {engine_version} now"
    return None


def versions() -> dict[str, str]:
    """Of the packages whose code decides what engines compute."""
    return {name: installed(name) for name in ("loresmith", "torch", "transformers", "llvmlite", "openvino-genai")}


def computed_by(engine: str, options: Mapping[str, Any]) -> str:
    """What computes a model besides its own weights, as a digest: a server and its model, or files in another form.

    A receipt holds for that alone: another server, or another export, was not compared. "" for the engine `torch`.

    Args:
        options: the engine's own settings.
    """
    if engine == "openai":
        return digest_of({key: options.get(key) for key in ("url", "model", "dialect")})
    if engine == "openvino":
        folder = Path(options["directory"])
        return digest_of({name: digest_file(folder / name) for name in _EXPORTED if (folder / name).is_file()})
    return ""


def installed(package: str) -> str:
    """The version of a package; "" where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def processor() -> str:
    """The class of this machine's processor, as torch tells it: `x86_64 AVX512`."""
    import torch

    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _minor(version_: str) -> str:
    """`2.13` of `2.13.0+cpu`."""
    return ".".join(version_.split("+")[0].split(".")[:2])
