"""`loresmith serve` of what cannot be served ends at once, with one message and status 2."""

from __future__ import annotations

import socket
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


def test_a_release_without_the_channel_says_how_to_get_it(cli: CommandLine) -> None:
    with Workspace.open(cli.folder) as workspace:
        digest = workspace.releases["writer"].asset().digest
        workspace.releases.promote("early", digest, "candidate", because="it is young")
    ended = cli("serve", "early", "--port", "0")
    assert ended.status == 2
    assert "unknown channel 'production' in release early; known: candidate" in one_message(ended.err)
    assert "`loresmith releases promote early early@candidate --because ...`" in ended.err
    ended = cli("serve", digest, "--port", "0")
    assert ended.status == 2
    assert "`releases promote NAME ASSET --because ...` makes one" in ended.err


@pytest.mark.parametrize("what", [".", "./writer", "-/-", "_", "é"])
def test_no_name_is_a_defect(cli: CommandLine, what: str) -> None:
    ended = cli("serve", "--port", "0", "--", what)
    assert ended.status == 2
    assert f"{what}: this is neither a file nor a release" in one_message(ended.err)


def test_a_port_that_is_taken_is_told_before_models_are_loaded(cli: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = cli("serve", "writer", "--port", str(port))
    assert ended.status == 2
    assert f"127.0.0.1:{port}: one cannot listen there" in one_message(ended.err)
    assert "`--port`" in ended.err
    assert "loading" not in ended.out


def test_a_certificate_that_is_none_is_named(cli: CommandLine, tmp_path: Path) -> None:
    for name in ("chain.pem", "private.pem"):
        (tmp_path / name).write_text("nothing of the kind")
    config = tmp_path / "serve.yaml"
    config.write_text("models: {it: {release: writer}}\nlisten: {certificate: chain.pem, key: private.pem}\n")
    ended = cli("serve", config, "--port", "0")
    assert ended.status == 2
    assert "chain.pem" in one_message(ended.err)
    assert "these are no certificate and its key" in one_message(ended.err)
    assert "loading" not in ended.out
