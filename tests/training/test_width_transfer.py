"""The best learning rate of a narrow model is that of a wide one, so that rates are sought where that is cheap."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch

from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.families import DENSE, MOE
from loresmith.training.batches import RowBatches
from loresmith.training.causal_lm import CausalLM
from loresmith.training.document_books import Shown, SourceBooks
from loresmith.training.loop import StepReport, Trainer
from loresmith.training.optimiser import Optimiser
from loresmith.training.predictor import Predictor
from loresmith.training.rows import Row, shifted
from loresmith.training.schedule import ScheduleSettings
from loresmith.training.settings import OptimiserSettings

FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
STEPS, BATCH, LENGTH = 150, 1024, 64


class SourceCode:
    """The bytes of a package of the standard library."""

    name = "bytes"

    def __init__(self) -> None:
        files = sorted((Path(sysconfig.get_path("stdlib")) / "email").glob("*.py"))
        self.bytes = np.frombuffer(b"".join(file.read_bytes() for file in files), dtype=np.uint8)

    def __len__(self) -> int:
        return (len(self.bytes) - 1) // LENGTH

    def row(self, number: int, epoch: int) -> Row:
        return shifted(self.bytes[number * LENGTH : (number + 1) * LENGTH + 1])

    def books(self, shown: Shown) -> SourceBooks:
        raise NotImplementedError


def final_loss(width: int, factor: float, optimiser: str, reference: int | None) -> float:
    """Mean loss of the last 20 steps with all learning rates times a factor."""
    config = transformers_config(
        Architecture(layers=2, width=width, head_dim=32), vocabulary_size=256, positions=LENGTH
    )
    model = build_model(config, seed=0)
    plain = OptimiserSettings()
    rates = {name: factor * getattr(plain, name) for name in OptimiserSettings.model_fields if name.endswith("_rate")}
    settings = OptimiserSettings(**rates, optimiser=optimiser, reference_width=reference)
    trainer = Trainer(
        Predictor(model),
        Optimiser(model, settings, torch.float32),
        ScheduleSettings(warmup_tokens=10 * BATCH),
        STEPS * BATCH,
        seed=0,
    )
    losses: list[float] = []

    class Listening:
        def after_step(self, trainer: Trainer, report: StepReport) -> None:
            losses.append(report.loss)

    trainer.train(RowBatches(SourceCode(), LENGTH, BATCH, BATCH, seed=0).batch, STEPS, CausalLM(), [Listening()])
    return float(np.mean(losses[-20:]))


def best(width: int, optimiser: str, reference: int | None) -> float:
    losses = {factor: final_loss(width, factor, optimiser, reference) for factor in FACTORS}
    print(width, optimiser, reference, {factor: round(loss, 3) for factor, loss in losses.items()})
    return min(losses, key=losses.__getitem__)


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", ["muon", "adamw"])
def test_the_best_rate_at_width_64_is_within_a_factor_of_2_of_that_at_width_256(optimiser: str) -> None:
    narrow, wide = (best(width, optimiser, 256) for width in (64, 256))
    assert 0.5 <= narrow / wide <= 2


def change(family: str, width: int, optimiser: str, reference: int | None) -> float:
    """By how much (root mean square) a few steps change the logits of some text."""
    shape = Architecture(family=family, layers=2, width=width, head_dim=32)
    model = build_model(transformers_config(shape, vocabulary_size=256, positions=LENGTH), seed=0)
    settings = OptimiserSettings(optimiser=optimiser, reference_width=reference)
    text = torch.from_numpy(SourceCode().bytes[: 4 * LENGTH].astype(np.int64)).reshape(4, LENGTH)
    with torch.no_grad():
        before = model(text).logits
    schedule = ScheduleSettings(warmup_tokens=1)
    trainer = Trainer(Predictor(model), Optimiser(model, settings, torch.float32), schedule, 1000 * 512, seed=0)
    trainer.train(RowBatches(SourceCode(), LENGTH, 512, 512, seed=0).batch, 4, CausalLM(), [])
    with torch.no_grad():
        return float((model(text).logits - before).square().mean().sqrt())


@pytest.mark.parametrize("family", [*DENSE, *MOE])
@pytest.mark.parametrize("optimiser", ["adamw", pytest.param("muon", marks=pytest.mark.slow)])
def test_a_step_changes_what_a_model_says_as_much_at_any_width(family: str, optimiser: str) -> None:
    """Whichever the architecture: the check of coordinates of Yang et al., Tensor Programs V, appendix D.1."""
    narrow, wide = (change(family, width, optimiser, 256) for width in (64, 256))
    assert narrow == pytest.approx(wide, rel=0.15)


def test_with_rates_as_written_a_narrow_model_changes_less() -> None:
    """So that the check above sees it where a matrix has the wrong rate."""
    narrow, wide = (change("qwen3", width, "adamw", None) for width in (64, 256))
    assert narrow < 0.5 * wide
