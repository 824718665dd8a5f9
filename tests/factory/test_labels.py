"""Labels flow downhill: whatever is made of a labelled asset has its labels, whichever step makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from loresmith.factory.acceptance import accepted
from loresmith.factory.registry import find_step, step_names
from loresmith.factory.step import InputAsset
from loresmith.ledger.books import Books


@pytest.mark.parametrize("name", step_names())
def test_every_output_of_every_step_has_the_labels_of_all_inputs(name: str, tmp_path: Path) -> None:
    step = find_step(name)
    inputs = {
        role: InputAsset("0" * 64, declared.kind, tmp_path, {}, (f"from-{role}", "restricted"))
        for role, declared in step.inputs.items()
    }
    made = {role: {"directory": str(tmp_path), "metadata": {}, "labels": ["own"]} for role in step.outputs}
    finished = {"books": Books().model_dump(mode="json"), "checks": [], "outputs": made}
    _, outputs = accepted(step, name, finished, inputs)
    expected = {"own", *(label for asset in inputs.values() for label in asset.labels)}
    assert {role: set(output.labels) for role, output in outputs.items()} == dict.fromkeys(step.outputs, expected)
