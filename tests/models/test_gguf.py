"""GGUF files become plain models that compute the same, or are refused by name."""

from __future__ import annotations

import json
import random
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from loresmith.data.encoding import Encoder
from loresmith.errors import UserError
from loresmith.models.gguf import read_gguf
from loresmith.models.steps import IMPORT_MODEL, ImportModelConfig
from loresmith.models.storage import load_model
from tests.models.test_storage import digests
from tests.models.tiny_gguf import tiny_llama, write_gguf
from tests.models.tiny_tokenizer import make_tokenizer
from tests.step_context import run_step

pytest.importorskip("gguf", reason="the extra `gguf` is not installed")
pytest.importorskip("accelerate", reason="the extra `gguf` is not installed")

IDS = torch.arange(0, 300, 7)[None]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", tiny_llama())


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(IDS).logits.float()
    return found


def test_a_gguf_file_computes_what_the_model_did_that_it_was_written_from(file: Path, tmp_path: Path) -> None:
    result = run_step(IMPORT_MODEL, tmp_path, {"path": str(file)})
    model, tokenizer = load_model(result.outputs["model"].directory)
    assert torch.allclose(logits(model), logits(tiny_llama()), atol=1e-5)
    text = "def f(x): für 日本語"
    assert tokenizer(text)["input_ids"] == make_tokenizer()(text)["input_ids"]
    assert tokenizer.chat_template == make_tokenizer().chat_template
    assert Encoder.load(result.outputs["tokenizer"].directory).end_of_document == 0
    (check,) = result.checks
    assert (check.kind, check.passed, check.evidence["largest_difference"]) == ("import-parity", True, 0.0)
    facts = result.outputs["model"].metadata
    assert (facts["licence"], facts["origin"]["name"], facts["origin"]["quantisation"]) == (
        "mit",
        "a tiny llama",
        "F32",
    )
    assert "quantization_config" not in json.loads((result.outputs["model"].directory / "config.json").read_text())
    (account,) = result.books.accounts
    assert account.entered == account.kept == facts["parameters"]


def test_blocks_are_written_out_in_another_type_where_it_is_asked_for(file: Path, tmp_path: Path) -> None:
    result = run_step(IMPORT_MODEL, tmp_path, {"path": str(file), "dtype": "bfloat16"})
    model, _ = load_model(result.outputs["model"].directory)
    assert model.dtype == torch.bfloat16
    assert torch.equal(model.lm_head.weight, tiny_llama().lm_head.weight.bfloat16())
    assert all(check.passed for check in result.checks)


def test_the_same_file_gives_the_same_bytes(file: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere.gguf"
    again.write_bytes(file.read_bytes())
    first, second = (run_step(IMPORT_MODEL, tmp_path / path.stem, {"path": str(path)}) for path in (file, again))
    assert digests(first.outputs["model"].directory) == digests(second.outputs["model"].directory)
    assert first.outputs["model"].metadata == second.outputs["model"].metadata


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.1, 0.3, 0.6, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_named(file: Path, tmp_path: Path, share: float) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    assert IMPORT_MODEL.fingerprint is not None
    with pytest.raises(UserError, match=r"damaged or cut short|no GGUF file") as caught:
        IMPORT_MODEL.fingerprint(ImportModelConfig(path=str(cut)))
    assert caught.value.where == str(cut)


def test_a_damaged_header_is_refused_and_never_a_traceback(file: Path, tmp_path: Path) -> None:
    chance, refused = random.Random(0), 0
    for number in range(100):
        data = bytearray(file.read_bytes())
        data[chance.randrange(1500)] ^= 1 << chance.randrange(8)
        damaged = tmp_path / f"{number}.gguf"
        damaged.write_bytes(data)
        with suppress(UserError):
            read_gguf(damaged)
            refused -= 1
        refused += 1
    assert refused > 20


def test_weights_that_are_not_finite_are_found(tmp_path: Path) -> None:
    model = tiny_llama()
    model.model.layers[1].mlp.up_proj.weight.data[0, 0] = float("nan")
    file = write_gguf(tmp_path / "nan.gguf", model)
    with pytest.raises(UserError, match=r"NaN or infinity, in model\.layers\.1\.mlp\.up_proj\.weight") as caught:
        run_step(IMPORT_MODEL, tmp_path / "out", {"path": str(file)})
    assert caught.value.where == str(file)


def test_a_rule_for_cutting_text_is_known_or_refused(tmp_path: Path) -> None:
    """transformers would take GPT-2's rule for every name that it does not know."""
    for pre in ("some-new-rule", None):
        file = write_gguf(tmp_path / "unknown.gguf", tiny_llama(), pre)
        with pytest.raises(UserError, match=f"tokenizer.ggml.pre is '{pre}'"):
            run_step(IMPORT_MODEL, tmp_path / "out", {"path": str(file)})
    made = {}
    for pre in ("gpt-2", "smollm", "llama-bpe"):
        file = write_gguf(tmp_path / f"{pre}.gguf", tiny_llama(), pre)
        made[pre] = Encoder.load(run_step(IMPORT_MODEL, tmp_path / pre, {"path": str(file)}).outputs["model"].directory)
    alone = [made["smollm"].text(token[None]) for token in made["smollm"].document("x   12")[:-1]]
    assert alone[-2:] == ["1", "2"]
    described = [json.loads((tmp_path / pre / "outputs/model/tokenizer.json").read_text()) for pre in made]
    assert [each["pre_tokenizer"]["type"] for each in described] == ["ByteLevel", "Sequence", "Sequence"]
    assert [each["model"]["ignore_merges"] for each in described] == [False, False, True]


def test_what_is_not_installed_is_named_with_the_command(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(UserError, match="needs the Python package gguf") as caught:
        run_step(IMPORT_MODEL, tmp_path, {"path": str(file)})
    assert "pip install 'gguf" in str(caught.value)


def test_what_transformers_would_leave_out_is_refused(tmp_path: Path) -> None:
    scaled = write_gguf(tmp_path / "a.gguf", tiny_llama(), llama__rope__scaling__type="linear")
    factors = write_gguf(tmp_path / "b.gguf", tiny_llama(), rope_freqs__weight=np.ones(8, dtype=np.float32))
    for file in (scaled, factors):
        with pytest.raises(UserError, match="rotary embedding of this GGUF file is scaled"):
            run_step(IMPORT_MODEL, tmp_path / "out", {"path": str(file)})
    more = write_gguf(tmp_path / "c.gguf", tiny_llama(), extra__weight=np.ones(8, dtype=np.float32))
    with pytest.raises(UserError, match=r"holds (\d+) weights, and transformers reads \d+ of them for a llama model"):
        run_step(IMPORT_MODEL, tmp_path / "out", {"path": str(more)})


def test_an_architecture_that_transformers_does_not_know_is_refused(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(file.read_bytes().replace(b"llama", b"lhama"))
    with pytest.raises(UserError, match="transformers cannot") as caught:
        run_step(IMPORT_MODEL, tmp_path / "out", {"path": str(other)})
    assert caught.value.where == str(other)
