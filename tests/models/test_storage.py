from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from loresmith.errors import UserError
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.storage import load_model, load_weights, save_model
from tests.models.tiny_tokenizer import make_tokenizer


def small(seed: int = 0, vocabulary_size: int = 300, **keys: object) -> torch.nn.Module:
    architecture = Architecture(**{"layers": 2, "width": 32, "head_dim": 16, **keys})
    model = build_model(
        transformers_config(architecture, vocabulary_size=vocabulary_size, positions=64, end_of_document=0), seed
    )
    model.get_output_embeddings().weight.data.normal_(generator=torch.Generator().manual_seed(seed))
    return model


def digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


@pytest.fixture
def tokenizer_directory(tmp_path: Path) -> Path:
    make_tokenizer().save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def test_the_same_model_makes_the_same_bytes_wherever_it_came_from(tmp_path: Path, tokenizer_directory: Path) -> None:
    save_model(small(), tmp_path / "one", tokenizer_directory)
    save_model(load_weights(tmp_path / "one"), tmp_path / "elsewhere" / "two", tokenizer_directory)
    assert digests(tmp_path / "one") == digests(tmp_path / "elsewhere" / "two")
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in (tmp_path / "elsewhere" / "two").iterdir())


@pytest.mark.parametrize("tied", [False, True])
def test_a_saved_model_loads_in_plain_transformers_and_says_the_same(
    tmp_path: Path, tokenizer_directory: Path, tied: bool
) -> None:
    model = small(tied_embeddings=tied)
    save_model(model, tmp_path / "model", tokenizer_directory)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        torch.save(model(ids).logits, tmp_path / "logits.pt")
    script = (
        "import sys, torch; from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"model = AutoModelForCausalLM.from_pretrained({str(tmp_path / 'model')!r})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({str(tmp_path / 'model')!r})\n"
        "assert 'loresmith' not in sys.modules\n"
        f"expected = torch.load({str(tmp_path / 'logits.pt')!r})\n"
        "assert torch.allclose(model(torch.arange(20)[None]).logits, expected, atol=1e-5)\n"
        "assert tokenizer.decode(tokenizer('def f(x): 日本語')['input_ids']) == 'def f(x): 日本語'\n"
        "assert tokenizer.chat_template\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)


def test_model_and_tokenizer_come_back_together(tmp_path: Path, tokenizer_directory: Path) -> None:
    save_model(small().to(torch.bfloat16), tmp_path / "model", tokenizer_directory)
    model, tokenizer = load_model(tmp_path / "model")
    assert model.dtype == torch.bfloat16
    assert not model.training
    assert tokenizer.eos_token_id == 0


def test_no_model_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.json"):
        load_weights(tmp_path)


def test_pickled_weights_are_never_loaded(tmp_path: Path) -> None:
    save_model(small(), tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(UserError, match="no safetensors weights"):
        load_weights(tmp_path / "model")


@pytest.mark.parametrize("left", [0, 7, 1000, -1])
def test_truncated_weights_are_named(tmp_path: Path, left: int) -> None:
    save_model(small(), tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:left])
    with pytest.raises(UserError, match="damaged or cut short") as caught:
        load_weights(tmp_path / "model")
    assert caught.value.where == str(weights)


def test_weights_that_are_not_numbers_are_named(tmp_path: Path) -> None:
    model = small()
    model.model.layers[1].mlp.up_proj.weight.data[3, 3] = float("nan")
    save_model(model, tmp_path / "model")
    with pytest.raises(UserError, match=r"NaN or infinity, in model\.layers\.1\.mlp\.up_proj\.weight"):
        load_weights(tmp_path / "model")


def test_missing_weights_are_named(tmp_path: Path) -> None:
    save_model(small(layers=1), tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    deeper = small(layers=2)
    save_model(deeper, tmp_path / "deeper")
    config.write_bytes((tmp_path / "deeper" / "config.json").read_bytes())
    with pytest.raises(UserError, match=r"the weights lack model\.layers\.1"):
        load_weights(tmp_path / "model")


def test_a_models_directory_serves_as_tokenizer_without_its_weights(tmp_path: Path) -> None:
    one, other = small(1), small(2)
    save_model(one, tmp_path / "one")
    (tmp_path / "one" / "tokenizer.json").write_text("{}")
    save_model(other, tmp_path / "other", tmp_path / "one")
    assert (tmp_path / "other" / "tokenizer.json").is_file()
    saved = load_weights(tmp_path / "other")
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), other.parameters(), strict=True))
