"""Importing a base model: from a folder, a file, a package or the hub to plain `model` and `tokenizer` assets.

The command `loresmith assets import` and the step `import-model` both end here, so that the same source gives the same
bytes and the same digest by either way.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.errors import UserError
from loresmith.ledger.digest import digest_file, digest_of
from loresmith.models.base_directory import content_of, folder_of, stated_licence, take_model, weights_of
from loresmith.models.base_hub import download
from loresmith.models.base_package import SMOLLM2_END_OF_DOCUMENT, find_smollm2
from loresmith.models.base_settings import read_json, write_settings
from loresmith.models.base_source import BaseSource
from loresmith.models.base_weights import tensor_sizes, weight_files
from loresmith.models.gguf import GgufFile, read_gguf, require_faithful

if TYPE_CHECKING:
    from loresmith.models.base_parity import ExpectedLogits

Say = Callable[[str], None]
"""Takes what is being done next; it may raise to stop."""


@dataclass(frozen=True)
class Imported:
    """What was written.

    Attributes:
        model, tokenizer: metadata of the two assets.
        weights_read: how many numbers the source's tensors have.
        weights_written: how many those of the model have.
        parity: what comparing the model with its source showed; None where the weights were simply copied.
    """

    model: Mapping[str, Any]
    tokenizer: Mapping[str, Any]
    weights_read: int
    weights_written: int
    parity: Mapping[str, Any] | None


@dataclass(frozen=True)
class _Found:
    """A model on this machine: a folder, a safetensors file, or a GGUF file whose header was read."""

    path: Path
    origin: Mapping[str, Any]
    licence: str = ""
    licence_texts: tuple[Path, ...] = ()
    end_of_document: str | None = None
    gguf: GgufFile | None = None


def base_fingerprint(source: BaseSource) -> str:
    """The digest of what would be imported, once it is seen to be there and, as far as headers tell, whole.

    For a model of the hub it is that of its name and revision: a plan reaches for no network.

    Raises:
        UserError: as `import_base`, but for what shows only when all weights are read.
    """
    source.require_one()
    if source.hub is not None:
        return digest_of({"hub": source.hub, "revision": source.revision})
    return digest_of(_on_this_machine(source).origin)


def import_base(source: BaseSource, model: Path, tokenizer: Path, scratch: Path, say: Say) -> Imported:
    """Write a base model as a plain Hugging Face folder, and its tokenizer as another.

    The same source gives the same bytes. In the end what was written is loaded as training will load it.

    Args:
        source: where it is and how it is taken over.
        model, tokenizer: empty folders.
        scratch: an empty folder, for what is not kept.
        say: told what is done next.

    Raises:
        UserError: the source is not there, not allowed, no model, damaged, quantised, not finite, wants code of its
            own to be run, or has a tokenizer that does not fit. The file is named.
        Failure: the hub cannot be reached.
    """
    from loresmith.models.base_tokenizer import take_tokenizer
    from loresmith.models.storage import copy_files, load_weights, require_fit

    source.require_one()
    found = _downloaded(source, scratch / "hub", say) if source.hub is not None else _on_this_machine(source)
    with _said_of(found.path, model, tokenizer, scratch):
        say("reading the weights")
        if found.gguf is not None:
            tokenizer_folder = scratch / "tokenizer"
            read, expected = _unpack(found.gguf, source, model, tokenizer_folder)
        else:
            tokenizer_folder = folder_of(found.path)
            read, expected = _copy(found, source, model, scratch / "copy"), None
        say("reading the tokenizer")
        taken = take_tokenizer(tokenizer_folder, tokenizer, source.end_of_document or found.end_of_document)
        copy_files(tokenizer, model)
        _end_at(model, taken.end_id)
        for text in found.licence_texts:
            shutil.copyfile(text, model / text.name)
        say("loading what was written")
        loaded = load_weights(model)
        require_fit(loaded, taken.highest_token, model)
    shared = {"licence": source.licence or found.licence, "origin": dict(found.origin)}
    return Imported(
        model={
            "model_type": loaded.config.model_type,
            "parameters": sum(int(parameter.numel()) for parameter in loaded.parameters()),
            "dtype": str(loaded.dtype).removeprefix("torch."),
            **taken.facts(),
            **shared,
        },
        tokenizer={**taken.facts(), **shared},
        weights_read=read,
        weights_written=_count(weight_files(model)),
        parity=expected.compare(loaded, "the GGUF file as transformers loads it") if expected is not None else None,
    )


@contextmanager
def _said_of(source: Path, *ours: Path) -> Iterator[None]:
    """Name the file that a person gave where something is wrong with what was written of it."""
    try:
        yield
    except UserError as error:
        inside = next((folder for folder in ours if Path(error.where or "").is_relative_to(folder)), None)
        if inside is None:
            raise
        file = source / Path(error.where or "").name
        raise UserError(error.what, where=str(file if file.is_file() else source), hint=error.hint) from error


def _end_at(directory: Path, token: int) -> None:
    """Have a model stop at the end of a document too, if so far it ends with another token, such as that of a turn."""
    file = directory / "generation_config.json"
    settings = read_json(file) if file.is_file() else {}
    named = settings.get("eos_token_id", read_json(directory / "config.json").get("eos_token_id"))
    ends = named if isinstance(named, list) else [] if named is None else [named]
    if token not in ends:
        write_settings({**settings, "eos_token_id": [*ends, token]}, file)


def _on_this_machine(source: BaseSource) -> _Found:
    """Where a source that is no hub's lies; its headers are read and its files hashed."""
    if source.smollm2:
        package = find_smollm2()
        file = read_gguf(package.path)
        return _Found(
            path=file.path,
            origin={**_gguf_origin(file), "package": package.package, "version": package.version},
            licence=package.licence,
            licence_texts=package.licence_texts,
            end_of_document=SMOLLM2_END_OF_DOCUMENT,
            gguf=file,
        )
    path = source.located()
    if path.suffix == ".gguf":
        file = read_gguf(path)
        return _Found(path, _gguf_origin(file), licence=str(file.said.get("general.license", "")), gguf=file)
    origin = {"form": "safetensors", "files": content_of(path)}
    return _Found(path, origin, licence=stated_licence(folder_of(path)))


def _downloaded(source: BaseSource, target: Path, say: Say) -> _Found:
    assert source.hub is not None
    say(f"downloading {source.hub}")
    model = download(source.hub, source.revision, target)
    say(f"{source.hub} at {source.revision} is commit {model.commit}")
    origin = {"form": "safetensors", "hub": model.name, "commit": model.commit, "files": content_of(target)}
    return _Found(target, origin, stated_licence(target))


def _gguf_origin(file: GgufFile) -> dict[str, Any]:
    require_faithful(file)
    return {
        "form": "gguf",
        "sha256": digest_file(file.path),
        "name": str(file.said.get("general.name", "")),
        "quantisation": file.quantisation,
    }


def _copy(found: _Found, source: BaseSource, target: Path, scratch: Path) -> int:
    """Copy a model of safetensors, or write it in another type; returns how many numbers its weights are."""
    if source.dtype is None:
        take_model(found.path, target)
        return _count(weights_of(found.path))
    import torch

    from loresmith.models.storage import load_weights, save_model

    scratch.mkdir()
    take_model(found.path, scratch)
    save_model(load_weights(scratch, getattr(torch, source.dtype)), target)
    for file in scratch.iterdir():
        if not (target / file.name).exists() and file.suffix != ".safetensors":
            shutil.copyfile(file, target / file.name)
    return _count(weights_of(found.path))


def _unpack(file: GgufFile, source: BaseSource, target: Path, tokenizer: Path) -> tuple[int, ExpectedLogits]:
    """Write out a GGUF file's model, and its tokenizer; returns how many numbers its weights are, and what it says."""
    import torch

    from loresmith.models.base_parity import expected_logits
    from loresmith.models.gguf_tokenizer import write_gguf_tokenizer
    from loresmith.models.gguf_weights import load_gguf
    from loresmith.models.storage import save_model

    write_gguf_tokenizer(file, tokenizer)
    unpacked = load_gguf(file, getattr(torch, source.dtype or "float32"))
    save_model(unpacked, target)
    return sum(file.weights.values()), expected_logits(unpacked, file.tokens)


def _count(files: tuple[Path, ...]) -> int:
    return sum(sum(tensor_sizes(file).values()) for file in files)
