"""`loresmith fill`: the text comes back as it was but for its gaps, the same to a person and to a program."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from loresmith import Workspace
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.storage import save_model
from tests.cli.conftest import CommandLine
from tests.training import fim_tokenizer
from tests.training.fim_tokenizer import VOCABULARY

TEXT = "def parse(li[[...]]):\n    return line.[[...]]()\n"
PARTS = TEXT.split("[[...]]")


@pytest.fixture(scope="module")
def filler(used_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return add_filler(used_folder, tmp_path_factory.mktemp("filler"))


def add_filler(workspace_folder: Path, folder: Path) -> str:
    """A model with sentinels and random weights, in a workspace."""
    shape = Architecture(layers=1, width=16, head_dim=8)
    config = transformers_config(shape, vocabulary_size=VOCABULARY, positions=128, end_of_document=0)
    model = build_model(config, seed=1)
    model.get_output_embeddings().weight.data.normal_(generator=torch.Generator().manual_seed(0))
    save_model(model, folder, fim_tokenizer.directory())
    with Workspace.open(workspace_folder) as workspace:
        return workspace.assets.add("model", folder).digest


def test_a_text_comes_back_with_its_gaps_filled(cli: CommandLine, filler: str) -> None:
    words = ["fill", filler, TEXT, "--max-new-tokens", "4", "--temperature", "1"]
    answer = cli(*words, "--json").json
    assert len(answer["fillings"]) == 2
    first, second = answer["fillings"]
    assert answer["text"] == PARTS[0] + first + PARTS[1] + second + PARTS[2]
    assert any(answer["fillings"])
    assert answer["asset"] == filler
    assert cli(*words).out == answer["text"] + "\n"


def test_both_sides_and_the_order_decide(cli: CommandLine, filler: str) -> None:
    def filled(text: str, *more: str) -> str:
        words = ["fill", filler, text, "--max-new-tokens", "8", "--temperature", "1", "--json", *more]
        return str(cli(*words).json["fillings"][0])

    found = {filled("a[[...]]b"), filled("x[[...]]b"), filled("a[[...]]y"), filled("a[[...]]b", "--order", "spm")}
    assert len(found) > 2
    assert filled("a[[...]]b") == filled("a???b", "--gap", "???")


def test_what_cannot_be_filled_is_said(cli: CommandLine, filler: str) -> None:
    whole = cli("fill", filler, "nothing is missing here")
    assert whole.status == 2
    assert "no gap" in whole.err
    without = cli("fill", "writer", "a[[...]]b")
    assert without.status == 2
    assert "no tokens for filling in the middle" in without.err


RECIPE = """\
name: small
steps:
  files: {step: ingest, path: notes}
  corpus: {step: curate, documents: files, minimum_bytes: 1, validation_share: 0, test_share: 0}
  tokenizer: {step: train-tokenizer, corpus: corpus, vocabulary_size: 300}
  tokens: {step: pack, corpus: corpus, tokenizer: tokenizer}
"""
TRAINING = """\
  %s: {step: pretrain, tokens: tokens, architecture: {layers: 1, width: 16, head_dim: 8}, budget_tokens: 2k,
    sequence_length: 128, batch_tokens: 256, micro_batch_tokens: 256, isolate_documents: true%s}
"""


@pytest.mark.slow
def test_a_model_that_never_learnt_it_is_refused_and_one_that_did_is_not(fresh: CommandLine) -> None:
    (fresh.folder / "notes").mkdir()
    for number in range(20):
        (fresh.folder / "notes" / f"{number}.txt").write_text(f"Part {number} fits pump {number % 7}. " * 20)
    fresh.write("small.yaml", RECIPE + TRAINING % ("plain", "") + TRAINING % ("taught", ", fim: {rate: 0.5}"))
    assert fresh("run", "small.yaml").status == 0
    refused = fresh("fill", "small/plain", "a[[...]]b", "--json")
    assert refused.status == 2
    assert "no training of small/plain taught it to fill in the middle" in refused.err
    assert fresh("fill", "small/taught", "Part [[...]]s pump", "--max-new-tokens", "2").status == 0
    with Workspace.open(fresh.folder) as workspace:  # of what is given by hand nobody knows what it learnt
        copied = fresh.folder / "copied"
        shutil.copytree(workspace.assets["small/plain.model"].directory, copied)
        (copied / "README.md").write_text("from elsewhere")
        digest = workspace.assets.add("model", copied).digest
    assert fresh("fill", digest, "a[[...]]b", "--max-new-tokens", "2").status == 0
