"""Base models that are refused: each for what is wrong with it, under the name of the file, before a step uses it."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from loresmith.errors import UserError
from loresmith.models.steps import IMPORT_MODEL, ImportModelConfig
from tests.models.found_model import change, found_folder, run_import, shard
from tests.models.tiny_tokenizer import make_tokenizer


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found_folder(tmp_path_factory.mktemp("hub") / "some-model")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(original, tmp_path / "model"))


Spoil = Callable[[Path], Any]


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weights": 1}))


def _missing_shard(folder: Path) -> None:
    shard(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def _shard_that_lacks_a_tensor(folder: Path) -> None:
    shard(folder)
    file = folder / "model-00001-of-00002.safetensors"
    weights = load_file(file)
    weights.pop(sorted(weights)[0])
    save_file(weights, file, {"format": "pt"})


def _shard_elsewhere(folder: Path) -> None:
    index = shard(folder)
    index.write_text(index.read_text().replace("model-00001-of", "../model-00001-of"))


def _not_finite(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] = float("inf")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _with_more(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"] = torch.ones(2, 32)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _larger_vocabulary(folder: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    tokenizer.save_pretrained(folder)


AT_ONCE: dict[str, tuple[Spoil, str, str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), r"it has no config\.json", ""),
    "an adapter": (
        lambda f: (f / "adapter_config.json").write_text('{"base_model_name_or_path": "acme/base"}'),
        "this is an adapter, made for acme/base, and not a model",
        "adapter_config.json",
    ),
    "pickled weights": (_pickled, r"no safetensors weights, only pytorch_model\.bin", ""),
    "weights cut short": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-7]),
        "damaged or cut short",
        "model.safetensors",
    ),
    "a missing shard": (
        _missing_shard,
        r"model-00002-of-00002\.safetensors is missing, which the index names",
        "model.safetensors.index.json",
    ),
    "a shard that lacks a tensor": (
        _shard_that_lacks_a_tensor,
        r"the shard lacks lm_head\.weight",
        "model-00001-of-00002.safetensors",
    ),
    "a shard of another folder": (_shard_elsewhere, "outside the folder", "model.safetensors.index.json"),
    "an index that is none": (
        lambda f: (shard(f)).write_text("[]"),
        "should be a JSON object",
        "model.safetensors.index.json",
    ),
    "code of its own": (
        lambda f: change(f / "config.json", auto_map={"AutoModelForCausalLM": "modeling_own.Model"}),
        "Python code of its own",
        "config.json",
    ),
    "a tokenizer with code of its own": (
        lambda f: change(f / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Tokenizer", None]}),
        "Python code of its own",
        "tokenizer_config.json",
    ),
    "a quantised model": (
        lambda f: change(f / "config.json", quantization_config={"quant_method": "gptq", "bits": 4}),
        r"quantised \(gptq\)",
        "config.json",
    ),
    "a config that is no JSON": (
        lambda f: (f / "config.json").write_text("{"),
        "cannot be read as JSON",
        "config.json",
    ),
}


@pytest.mark.parametrize(("spoil", "said", "where"), AT_ONCE.values(), ids=AT_ONCE.keys())
def test_what_is_wrong_with_a_base_is_found_when_it_is_planned(
    spoil: Spoil, said: str, where: str, folder: Path
) -> None:
    spoil(folder)
    assert IMPORT_MODEL.fingerprint is not None
    with pytest.raises(UserError, match=said) as caught:
        IMPORT_MODEL.fingerprint(ImportModelConfig(path=str(folder)))
    assert caught.value.where == str(folder / where)


WHEN_READ: dict[str, tuple[Spoil, str, str]] = {
    "infinite weights": (_not_finite, r"NaN or infinity, in model\.norm\.weight", "model.safetensors"),
    "weights without a place": (_with_more, r"hold score\.weight, for which a qwen3 model", ""),
    "a tokenizer that is larger than the embedding": (
        _larger_vocabulary,
        r"tokens up to 300, and the model's embedding 300 rows",
        "",
    ),
    "another geometry": (
        lambda f: change(f / "config.json", intermediate_size=48),
        r"mlp\.down_proj\.weight is 32 x 64 in the weights and 32 x 48 by config\.json",
        "",
    ),
    "more layers than weights": (
        lambda f: change(f / "config.json", num_hidden_layers=3, layer_types=["full_attention"] * 3),
        r"the weights lack model\.layers\.2\.\S+ and \d+ more",
        "",
    ),
    "a model that writes no text": (
        lambda f: change(f / "config.json", model_type="vit"),
        "transformers cannot load",
        "",
    ),
    "no tokenizer": (
        lambda f: [file.unlink() for file in f.glob("*token*")],
        r"there is no tokenizer with this model",
        "",
    ),
    "a tokenizer that is none": (
        lambda f: (f / "tokenizer.json").write_text("{}"),
        "this is no tokenizer",
        "tokenizer.json",
    ),
    "tokens that only a config knows": (
        lambda f: change(f / "tokenizer_config.json", pad_token="[PAD]"),
        r"names tokens that tokenizer\.json does not have: \[PAD\]",
        "",
    ),
    "no end of document": (
        lambda f: change(f / "tokenizer_config.json", eos_token=None),
        r"names no eos_token, with which every document ends; its special tokens are <\|end\|>",
        "",
    ),
}


@pytest.mark.parametrize(("spoil", "said", "where"), WHEN_READ.values(), ids=WHEN_READ.keys())
def test_what_only_reading_shows_is_found_before_anything_is_registered(
    spoil: Spoil, said: str, where: str, folder: Path, tmp_path: Path
) -> None:
    spoil(folder)
    with pytest.raises(UserError, match=said) as caught:
        run_import(tmp_path / "out", path=str(folder))
    assert caught.value.where == str(folder / where)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.ckpt", "model.pth", "model.pkl"])
def test_a_pickle_is_refused_by_its_name_and_left_closed(name: str, folder: Path) -> None:
    file = folder / name
    file.write_bytes(b"never read")
    with pytest.raises(UserError, match=r"a \.safetensors file or a \.gguf file") as caught:
        run_import(folder, path=str(file))
    assert caught.value.where == str(file)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "comes from one place"),
        ({"path": "x", "smollm2": True}, "path and smollm2 are given"),
        ({"path": "/nowhere/at/all"}, "no such file or folder"),
        ({"hub": "acme/base"}, "nothing is looked up there unless it is allowed"),
    ],
)
def test_one_place_that_is_there_is_wanted(config: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        run_import(tmp_path, **config)
