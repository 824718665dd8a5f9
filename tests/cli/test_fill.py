"""`loresmith fill`: the text comes back as it was but for its gaps, the same to a person and to a program."""

from __future__ import annotations

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
