"""`loresmith models certify`: a receipt either way, and an exit status that says which."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from loresmith import Workspace
from loresmith.models.adapter_settings import AdapterSettings
from loresmith.models.adapter_storage import save_adapter
from loresmith.models.adapters import add_adapter
from loresmith.models.storage import load_weights
from loresmith.serving.engines import starting
from loresmith.serving.parity.receipt import PARITY, receipt_covers
from tests.cli.conftest import CommandLine
from tests.models.adapted_models import learnt
from tests.serving.engines.served_models import write_tiny

FEW = ("--window", "200", "--slots", "4", "--threads", "1")


@pytest.fixture
def model(cli: CommandLine, tmp_path: Path) -> str:
    cli("init")
    with Workspace.open(cli.folder) as workspace:
        return workspace.assets.add("model", write_tiny(tmp_path, "qwen3", torch.bfloat16)).digest


def test_a_model_is_certified(cli: CommandLine, model: str) -> None:
    said = cli("models", "certify", model, "--engine", "torch", "--precision", "bf16", *FEW)
    assert said.status == 0, said.err
    assert "computes what the reference does" in said.out
    assert "comparing with the reference: 1 of" in said.err
    with Workspace.open(cli.folder) as workspace:
        receipt = workspace.ledger.receipts.list(model)[-1]
        workspace.ledger.receipts.verify(receipt)
    assert (receipt.kind, receipt.passed) == (PARITY, True)
    assert receipt_covers(receipt, "torch", "bf16") is None
    assert receipt_covers(receipt, "torch", "fp32") is not None


def test_an_engine_that_is_wrong_fails_and_its_receipt_is_kept(
    cli: CommandLine, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setitem(starting.FACTORIES, "torch", "tests.serving.parity.wrong_engines:start")
    answer = cli("models", "certify", model, *FEW, "--json")
    assert answer.status == 1
    (said,) = answer.json["receipts"]
    assert not said["passed"]
    assert "on average" in said["because"]
    with Workspace.open(cli.folder) as workspace:
        receipt = workspace.ledger.receipts.list(model)[-1]
    assert (receipt.passed, receipt.evidence["because"]) == (False, said["because"])


@pytest.mark.slow
def test_each_adapter_has_a_receipt_of_its_own(cli: CommandLine, model: str, tmp_path: Path) -> None:
    with Workspace.open(cli.folder) as workspace:
        base = load_weights(workspace.ledger.assets.directory(model), torch.float32)
        add_adapter(base, AdapterSettings(rank=4, alpha=8), seed=1)
        save_adapter(learnt(base, 0.3), tmp_path / "adapter", model)
        adapter = workspace.assets.add("adapter", tmp_path / "adapter").digest
    answer = cli("models", "certify", model, "--adapter", f"wards={adapter}", *FEW, "--json")
    assert answer.status == 0, answer.err
    alone, adapted = answer.json["receipts"]
    assert (alone["subject"], alone["adapter"]) == (model, None)
    assert (adapted["subject"], adapted["adapter"]) == (adapter, "wards")
    assert adapted["evidence"]["base"] == model
    assert adapted["evidence"]["largest_difference"] != alone["evidence"]["largest_difference"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--precision", "int8"), "does not compute in int8"),
        (("--set", "url"), "'url' is not KEY=VALUE"),
        (("--engine", "openai", "--set", "url=http://a/v1"), "model: Field required"),
        (("--engine", "openvino", "--set", "directory=nowhere"), "openvino"),
    ],
)
def test_a_request_that_cannot_be_carried_out_keeps_no_receipt(
    cli: CommandLine, model: str, words: tuple[str, ...], said: str
) -> None:
    with Workspace.open(cli.folder) as workspace:
        before = workspace.ledger.receipts.list(model)
    answer = cli("models", "certify", model, *FEW, *words)
    assert answer.status == 2
    assert said in answer.err
    with Workspace.open(cli.folder) as workspace:
        assert workspace.ledger.receipts.list(model) == before
