"""A released model writes: the same text for the same seed, streamed to a person, whole in JSON."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from loresmith import Workspace
from tests.cli.conftest import CommandLine

ASKED = ["complete", "writer", "hello", "--max-new-tokens", "12"]


def test_the_same_seed_gives_the_same_text(cli: CommandLine) -> None:
    first, second = (cli(*ASKED, "--seed", "7", "--json").json for _ in range(2))
    assert first["text"] == second["text"]
    assert first["prompt"] == "hello"
    assert first["text"] != cli(*ASKED, "--seed", "8", "--json").json["text"]


def test_what_a_person_sees_is_what_a_program_gets(cli: CommandLine) -> None:
    assert cli(*ASKED).out == cli(*ASKED, "--json").json["text"] + "\n"


def test_a_channel_decides_which_model_writes(cli: CommandLine) -> None:
    assert cli(*ASKED, "--channel", "production", "--json").json["asset"] == cli(*ASKED, "--json").json["asset"]
    done = cli(*ASKED, "--channel", "candidate")
    assert done.status == 2
    assert "candidate" in done.err


def test_a_conversation_keeps_its_history_and_its_model(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cli("chat", "writer", "-m", "hello", "--max-new-tokens", "6", "--system", "Be brief.", "--json").json
    assert [message["role"] for message in first["messages"]] == ["system", "user", "assistant"]
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n\nbye\n"))
    done = cli("chat", "writer", "--max-new-tokens", "6", "--system", "Be brief.")
    assert done.status == 0
    assert done.out.startswith(first["reply"] + "\n")
    from loresmith.sdk.calls.models import CHAT, ChatRequest

    with Workspace.open(cli.folder) as workspace:
        request = ChatRequest(release="writer", message="bye", history=tuple(first["messages"]), max_new_tokens=6)
        second = CHAT.run(workspace, request, lambda _event: None)
        assert workspace.releases["writer"].model()[0] is workspace.releases["writer"].model()[0]
    assert done.out == f"{first['reply']}\n{second.reply}\n"


def test_who_answers_is_who_began_wherever_the_release_points_meanwhile(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("chat", "writer", "--max-new-tokens", "6")
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\nbye\n"))
    undisturbed = cli(*words)
    with Workspace.open(cli.folder) as workspace:
        first = workspace.releases["writer"].asset()
        silent = tmp_path / "silent"
        shutil.copytree(first.directory, silent)
        for file in silent.iterdir():
            file.chmod(0o600)
        (silent / "chat_template.jinja").unlink()  # it holds no conversations
        second = workspace.assets.add("model", silent)

    class Promoted(io.StringIO):
        def __next__(self) -> str:
            line = super().__next__()
            if line == "bye\n":
                with Workspace.open(cli.folder) as workspace:
                    workspace.releases.promote("writer", second.digest, because="for the tests")
            return line

    monkeypatch.setattr("sys.stdin", Promoted("hello\nbye\n"))
    try:
        done = cli(*words)
    finally:
        with Workspace.open(cli.folder) as workspace:
            workspace.releases.promote("writer", first.digest, because="for the tests")
    assert (done.status, done.out) == (0, undisturbed.out), done.err


def test_what_cannot_be_said_is_told_once_before_a_conversation_begins(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\nbye\n"))
    for words, said in (
        (("nothing",), "nothing"),
        (("writer", "--channel", "candidate"), "candidate"),
        (("writer", "--model", "acme"), "this is for a gateway"),
    ):
        done = cli("chat", *words)
        assert (done.status, done.out, done.err.count(said) >= 1) == (2, "", True)
        assert done.err.count("error: ") == 1


def test_an_adapter_writes_with_the_base_that_it_names(cli: CommandLine, tmp_path: Path) -> None:
    from loresmith.models.adapter_settings import AdapterSettings
    from loresmith.models.adapter_storage import save_adapter
    from loresmith.models.adapters import add_adapter
    from loresmith.models.storage import load_weights
    from tests.models.adapted_models import learnt

    with Workspace.open(cli.folder) as workspace:
        base = workspace.releases["writer"].asset()
        model = load_weights(base.directory)
        add_adapter(model, AdapterSettings(rank=4), seed=0)
        save_adapter(learnt(model, 0.5), tmp_path / "adapter", base.digest)
        adapter = workspace.assets.add("adapter", tmp_path / "adapter")
        save_adapter(model, tmp_path / "stray", "cd" * 32)
        stray = workspace.assets.add("adapter", tmp_path / "stray")
        assert adapter.model()[0].peft_config
    words = ("hello", "--max-new-tokens", "12", "--temperature", "0", "--json")
    written = cli("complete", adapter.digest, *words).json
    assert written["asset"] == adapter.digest
    assert written["text"] != cli("complete", "writer", *words).json["text"]
    assert cli("chat", adapter.digest, "-m", "hello", "--max-new-tokens", "4", "--json").json["reply"] is not None

    refused = cli("complete", stray.digest, *words)
    assert refused.status == 2
    assert f"the base of this adapter, {'cd' * 32}, is not in this workspace" in refused.err


def test_an_address_without_its_beginning_is_recognised(cli: CommandLine) -> None:
    ended = cli("chat", "127.0.0.1:8080", "-m", "Hello")
    assert ended.status == 2
    assert "a gateway's is http://127.0.0.1:8080" in ended.err
