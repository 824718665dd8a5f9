"""The command line, called in this process and in others, in a workspace in which something has happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from loresmith.cli.main import main

RECIPE = """\
name: words
steps:
  hello: {step: write-text, text: "hello ", times: 3}
  bye: {step: write-text, text: bye, labels: [internal]}
  both: {step: join-text, first: hello, second: bye}
release: {name: words, asset: both}
"""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """Calls `loresmith` with a workspace as the current folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *words: str | Path) -> Outcome:
        self._capsys.readouterr()
        status = main([str(word) for word in words])
        captured = self._capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    def start(self, *words: str | Path, **popen: Any) -> subprocess.Popen[str]:
        """The same in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "loresmith", *map(str, words)],
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **popen,
        )

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


@pytest.fixture(scope="session")
def used_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a run, a release that was promoted twice, and a released model that can write."""
    folder = tmp_path_factory.mktemp("used")
    with Workspace.init(folder) as workspace:
        (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
        workspace.run(folder / "recipe.yaml")
        workspace.releases.promote("words", "words/hello", because="it is the first")
        workspace.releases.promote("words", "words/both", because="it says more")
        model = workspace.assets.add("model", tiny_model(folder / "tiny"))
        workspace.releases.promote("writer", model.digest, because="it can write")
    return folder


@pytest.fixture
def cli(used_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line in the workspace of `used_folder`; for what changes nothing that others look at."""
    monkeypatch.chdir(used_folder)
    monkeypatch.delenv("LORESMITH_WORKSPACE", raising=False)
    return CommandLine(used_folder, capsys)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line in a new workspace."""
    Workspace.init(tmp_path / "fresh").close()
    monkeypatch.chdir(tmp_path / "fresh")
    monkeypatch.delenv("LORESMITH_WORKSPACE", raising=False)
    return CommandLine(tmp_path / "fresh", capsys)


def tiny_model(folder: Path) -> Path:
    """A model with random weights, and a byte-level tokenizer with the house's chat template."""
    from loresmith.models.offline import transformers  # isort: skip
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from loresmith.models.architecture import Architecture, transformers_config
    from loresmith.models.build import build_model
    from loresmith.models.chat_template import CHAT_TEMPLATE, CHAT_TOKENS
    from loresmith.models.storage import save_model

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|end|>", *CHAT_TOKENS]
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(["hello bye hello"], trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=special[0])
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(str(folder / "tokenizer"))
    shape = Architecture(layers=1, width=16, heads=2, head_dim=8, ffn_width=16, tied_embeddings=True)
    config = transformers_config(shape, vocabulary_size=len(tokenizer), positions=128, end_of_document=0)
    save_model(build_model(config, seed=1), folder / "model", folder / "tokenizer")
    return folder / "model"


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with changes."""
    return {**os.environ, **changes}
