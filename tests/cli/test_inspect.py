"""`inspect` shows what a model learns of a conversation: in colours, in brackets, and token by token for programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from loresmith import Workspace
from loresmith.cli import inspect
from loresmith.cli.screen import Screen
from loresmith.sdk.calls.inspect import INSPECT, InspectRequest
from tests.cli.conftest import CommandLine
from tests.data.conversations import asked, dataset_of
from tests.models.foreign_templates import DROPS_SYSTEM

RECORDS = [
    asked("Where is the filter?", "Behind the panel."),
    {"messages": [{"role": "system", "content": "Be brief."}, *asked("Who?", "Ada [she].")["messages"]]},
    asked("\x1b[31mred? <|im_end|>", "No."),
]


@pytest.fixture
def dataset(cli: CommandLine, tmp_path: Path) -> str:
    with Workspace.open(cli.folder) as workspace:
        return workspace.assets.add("dataset", dataset_of(RECORDS, tmp_path)).digest


def test_a_program_gets_tokens_ids_and_mask(cli: CommandLine, dataset: str) -> None:
    answer = cli("inspect", dataset, "writer", "--json").json
    assert answer["in_all"] == 3
    for record in answer["records"]:
        assert len(record["ids"]) == len(record["tokens"]) == len(record["mask"])
        learnt = [token for token, mask in zip(record["tokens"], record["mask"], strict=True) if mask]
        assert "".join(learnt) == "".join(piece["text"] for piece in record["pieces"] if piece["learnt"])
    first = answer["records"][0]
    assert first["where"] == "talks.jsonl:1"
    assert [piece["text"] for piece in first["pieces"] if piece["learnt"]] == ["Behind the panel.<|im_end|>"]
    assert answer["learnt_count"] == sum(sum(record["mask"]) for record in answer["records"])


def test_without_colours_what_is_learnt_stands_in_brackets(cli: CommandLine, dataset: str) -> None:
    out = cli("inspect", dataset, "writer", "--record", "2", "--records", "1").out
    assert "record 2 of 3, talks.jsonl:2, " in out
    assert "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n⟦Ada [she].<|im_end|>⟧\n" in out
    assert "Behind the panel" not in out


def test_with_colours_it_is_green(cli: CommandLine, dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.__dict__["console"] = Console(force_terminal=True, color_system="standard", width=200, highlight=False)
    with Workspace.open(cli.folder) as workspace:
        request = InspectRequest(dataset=dataset, tokenizer="writer", records=1)
        inspect._show(INSPECT.run(workspace, request, lambda _event: None), request, screen)
    out = capsys.readouterr().out
    assert "\x1b[1;32mBehind the panel.<|im_end|>\x1b[0m" in out
    assert "⟦" not in out


def test_a_record_cannot_steer_the_terminal(cli: CommandLine, dataset: str) -> None:
    out = cli("inspect", dataset, "writer", "--record", "3").out
    assert "\\x1b[31mred?" in out
    assert "\x1b" not in out


def test_a_template_that_drops_the_system_prompt_is_named_with_the_record(cli: CommandLine, dataset: str) -> None:
    template = cli.write("drops.jinja", DROPS_SYSTEM)
    assert cli("inspect", dataset, "writer", "--records", "1", "--chat-template", template).status == 0
    done = cli("inspect", dataset, "writer", "--chat-template", template)
    assert done.status == 2
    assert "talks.jsonl:2 (record 2): the chat template drops the system prompt" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["writer", "writer"], "is a model, and a dataset is needed"),
        (["DATASET", "words"], "a tokenizer or a model renders conversations"),
        (["DATASET", "writer", "--record", "4"], "there is no record 4: the dataset has 3"),
        (["DATASET", "writer", "--record", "0"], "--record"),
        (["DATASET", "writer", "--chat-template", "nowhere.jinja"], "the chat template cannot be read"),
    ],
)
def test_what_cannot_be_shown_is_said(cli: CommandLine, dataset: str, words: list[str], said: str) -> None:
    done = cli("inspect", *(dataset if word == "DATASET" else word for word in words))
    assert done.status == 2
    assert said in done.err
