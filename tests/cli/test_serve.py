"""`loresmith serve` of what cannot be served ends at once, with one message and status 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from loresmith import Workspace
from loresmith.serving.parity.receipt import PARITY, versions
from tests.cli.conftest import CommandLine


def one_message(error: str) -> str:
    """The one message, without what was said before it, and its hint."""
    assert "Traceback" not in error
    (message,) = [line for line in error.splitlines() if line.startswith("error: ")]
    return message


@pytest.mark.parametrize("engine", ["torch", "openvino", "openai"])
def test_a_model_that_nobody_compared_is_not_served(cli: CommandLine, tmp_path: Path, engine: str) -> None:
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    own = {
        "torch": "",
        "openvino": f", exported: {{directory: {tmp_path}}}",
        "openai": ", remote: {url: 'http://127.0.0.1:9/v1', model: acme}",
    }[engine]
    config = tmp_path / "serve.yaml"
    config.write_text(f"models:\n  it: {{release: writer, engine: {engine}{own}}}\nstandby: false\n")
    ended = cli("serve", config, "--port", "0")
    assert ended.status == 2
    assert f"nobody has compared writer@production on the engine {engine} at bf16" in one_message(ended.err)
    assert f"models certify writer@production --engine {engine} --precision bf16" in ended.err


def test_a_model_that_failed_is_not_served(cli: CommandLine) -> None:
    with Workspace.open(cli.folder) as workspace:
        digest = workspace.releases["writer"].asset().digest
        facts = {"engine": "torch", "precision": "bf16", "versions": versions(), "because": "it is 0.4 off on average"}
        workspace.ledger.receipts.add(digest, PARITY, False, facts)
    ended = cli("serve", "writer@production", "--port", "0")
    assert ended.status == 2
    assert "does not compute what the reference does: it is 0.4 off on average" in one_message(ended.err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("writer@candidate",), "candidate"),
        (("nothing",), "nothing"),
        (("writer@elsewhere",), "unknown channel 'elsewhere'"),
        (("writer", "--host", "0.0.0.0"), "--host"),
    ],
)
def test_what_is_not_there_is_not_served(cli: CommandLine, words: tuple[str, ...], said: str) -> None:
    ended = cli("serve", *words, "--port", "0")
    assert ended.status == 2
    assert said in one_message(ended.err)
