"""Several adapters in one step: each request is answered as by its own merged model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from loresmith.errors import UserError
from loresmith.models.adapter_settings import AdapterSettings
from loresmith.models.adapter_storage import load_adapted, save_adapter
from loresmith.models.adapters import add_adapter
from loresmith.models.storage import load_model
from loresmith.serving.engines.embedded.batch_adapters import add_adapters
from loresmith.serving.engines.embedded.layout import Layout, Segment
from loresmith.serving.engines.embedded.networks import network_for
from loresmith.serving.engines.embedded.torch_engine import TorchEngine
from tests.models.adapted_models import BASE, learnt
from tests.serving.engines.answers import answers
from tests.serving.engines.served_models import write_tiny
from tests.serving.engines.test_torch_engine import GREEDY, prompt, request


def write_adapter(base: Path, directory: Path, variant: str = "lora", seed: int = 3, **settings: object) -> Path:
    model, _ = load_model(base, torch.float32)
    add_adapter(model, AdapterSettings(variant=variant, **{"rank": 4, "alpha": 8, **settings}), seed=seed)
    save_adapter(learnt(model, 0.3), directory, BASE)
    return directory


@pytest.mark.parametrize("model_type", ["qwen3", "gemma3_text"])
def test_each_row_gets_its_own_adapter(tmp_path: Path, model_type: str) -> None:
    base = write_tiny(tmp_path, model_type)
    adapters = {
        "plain": write_adapter(base, tmp_path / "plain"),
        "rs": write_adapter(base, tmp_path / "rs", "rslora", 4, target_modules=("q_proj", "down_proj")),
    }
    network = network_for(lambda: load_model(base, torch.float32)[0], slots=4, window=128)
    numbers = add_adapters(network, adapters, BASE, torch.float32)
    ids = [list(prompt(15, seed)) for seed in range(3)]
    whose = [numbers["plain"], 0, numbers["rs"]]
    cpu = torch.device("cpu")
    network.forward(Layout([Segment(n, 0, ids[n][:-1], False, whose[n]) for n in range(3)], cpu))
    layout = Layout([Segment(n, 14, ids[n][-1:], True, whose[n]) for n in range(3)], cpu)
    logits = dict(zip([segment.slot for segment in layout.asked], network.forward(layout), strict=True))
    for n, adapter in enumerate((adapters["plain"], None, adapters["rs"])):
        model = load_model(base, torch.float32)[0] if adapter is None else load_adapted(base, BASE, adapter)[0]
        with torch.inference_mode():
            expected_V = model(input_ids=torch.tensor([ids[n]])).logits[0, -1]
        torch.testing.assert_close(logits[n], expected_V, rtol=5e-4, atol=5e-4)


def test_requests_name_their_adapter_and_share_no_work_with_those_of_another(tmp_path: Path) -> None:
    base = write_tiny(tmp_path)
    adapters = {"ward": write_adapter(base, tmp_path / "ward")}
    engine = TorchEngine(base, dtype=torch.float32, slots=4, window=128, adapters=adapters, base=BASE)
    assert engine.facts.adapters == ("ward",)
    plain = request("plain", 40, scope="ada", sampling=GREEDY)
    adapted = plain.model_copy(update={"id": "adapted", "adapter": "ward"})
    again = adapted.model_copy(update={"id": "again"})
    first, second = answers(engine, [plain])["plain"], answers(engine, [adapted])["adapted"]
    third = answers(engine, [again])["again"]
    assert (first.cached, second.cached, third.cached) == (0, 0, 39)
    assert first.ids != second.ids
    assert second.ids == third.ids


def test_what_cannot_be_applied_by_row_is_refused(tmp_path: Path) -> None:
    base = write_tiny(tmp_path)
    dora = write_adapter(base, tmp_path / "dora", "dora")
    with pytest.raises(UserError, match="DoRA cannot be applied row by row") as refused:
        TorchEngine(base, dtype=torch.float32, slots=2, window=64, adapters={"dora": dora}, base=BASE)
    assert "`merge`" in str(refused.value)
    other = write_adapter(base, tmp_path / "other")
    with pytest.raises(UserError, match="for the base"):
        TorchEngine(base, dtype=torch.float32, slots=2, window=64, adapters={"other": other}, base="cd" * 32)
    stateful = write_tiny(tmp_path / "stateful", "mamba")
    with pytest.raises(UserError, match="takes no adapters"):
        TorchEngine(stateful, dtype=torch.float32, slots=2, window=64, adapters={"other": other}, base=BASE)
