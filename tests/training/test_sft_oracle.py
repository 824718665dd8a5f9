"""The loss of fine-tuning, and its gradients, are those of TRL's SFTTrainer on the same conversations."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from loresmith.models.conversation import ConversationRenderer
from loresmith.models.storage import load_weights
from loresmith.training.batches import RowBatches
from loresmith.training.causal_lm import CausalLM
from loresmith.training.message_rows import MessageRowSettings, message_rows
from loresmith.training.predictor import Predictor
from tests.models.tiny_tokenizer import make_tokenizer
from tests.training.tiny_messages import talk, write_chat_base, write_dataset

pytestmark = pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="TRL is not installed")

TOOLS = [{"type": "function", "function": {"name": "stock", "description": "Parts", "parameters": {"type": "object"}}}]
CALL = {"type": "function", "function": {"name": "stock", "arguments": {"part": "OF-12"}}}
WITH_TOOLS = [
    {"role": "user", "content": "How many?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "3"},
    {"role": "assistant", "content": "Three."},
]  # all of one shape: the columns of `datasets` would otherwise add nulls, which TRL renders
RECORDS = [*(talk(number) for number in range(6)), {"messages": WITH_TOOLS, "tools": TOOLS}]
LENGTH = 1024


def varied(base: Path) -> Any:
    """The base in fp32 with weights that are none of them zero."""
    model = load_weights(base, torch.float32)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chat_base(tmp_path_factory.mktemp("base"), positions=LENGTH).directory


@pytest.fixture(scope="module")
def oracle(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[float, dict[str, torch.Tensor]]:
    """TRL's loss of one batch with all records, and its gradients."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    folder = tmp_path_factory.mktemp("trl")
    dataset = write_dataset(folder / "ours", RECORDS, validation_share=0).directory
    from loresmith.data.messages_dataset import read_records

    records = [{"messages": list(r.messages), "tools": list(r.tools) or None} for r in read_records(dataset)]
    model = varied(base)
    settings = SFTConfig(
        output_dir=str(folder / "out"),
        assistant_only_loss=True,
        per_device_train_batch_size=len(RECORDS),
        max_length=None,
        packing=False,
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    tokenizer = make_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    trainer = SFTTrainer(model, settings, train_dataset=Dataset.from_list(records), processing_class=tokenizer)
    (batch,) = trainer.get_train_dataloader()
    assert batch["input_ids"].shape[0] == len(RECORDS)
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return float(loss.detach()), gradients(trainer.model)


@pytest.mark.parametrize(("packing", "micro_batch_rows"), [(False, 7), (False, 2), (True, 1), (True, 4)])
def test_loss_and_gradients_are_those_of_trl(
    base: Path,
    oracle: tuple[float, dict[str, torch.Tensor]],
    tmp_path: Path,
    packing: bool,
    micro_batch_rows: int,
) -> None:
    dataset = write_dataset(tmp_path, RECORDS, validation_share=0).directory
    renderer = ConversationRenderer(make_tokenizer())
    rows = message_rows(dataset, "train", renderer, MessageRowSettings(LENGTH, packing))
    batch = RowBatches(rows, LENGTH, LENGTH * len(rows), LENGTH * micro_batch_rows, seed=0).batch(0)
    assert (len(rows) == len(RECORDS)) == (not packing)

    model, objective = varied(base), CausalLM()
    predictor = Predictor(model)
    weight = sum(objective.weight(micro_batch) for micro_batch in batch.micro_batches)
    total = 0.0
    for micro_batch in batch.micro_batches:
        loss, shown = objective.loss(predictor.predict(micro_batch), micro_batch)
        (loss / weight).backward()
        total += float(shown) / weight

    theirs, their_gradients = oracle
    assert total == pytest.approx(theirs, abs=1e-6)
    ours = gradients(model)
    assert ours.keys() == their_gradients.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, their_gradients[name], rtol=1e-5, atol=1e-6, msg=name)
        assert bool(gradient.abs().max() > 1e-4), name
