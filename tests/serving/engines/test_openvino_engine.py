"""The engine `openvino`, over a model that was exported outside: it says what it cannot do, and does the rest.

LORESMITH_OPENVINO_MODEL names the Hugging Face folder of a model, and LORESMITH_OPENVINO_EXPORT its export.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loresmith.errors import UserError
from loresmith.models.storage import load_tokenizer
from loresmith.serving.engines.exported_model import ExportedModel
from loresmith.serving.engines.generation import Generation, Grammar, JsonSchema, Sampling
from loresmith.serving.engines.openvino_engine import OpenvinoEngine
from loresmith.serving.parity.asking import NEW_TOKENS, ask_all, asking_engine
from loresmith.serving.parity.comparison import compare
from loresmith.serving.parity.prompts import parity_prompts
from loresmith.serving.parity.reference import Reference
from tests.serving.engines.answers import answers

pytest.importorskip("openvino_genai.py_openvino_genai")

MODEL = Path(os.environ.get("LORESMITH_OPENVINO_MODEL", "nowhere"))
EXPORT = Path(os.environ.get("LORESMITH_OPENVINO_EXPORT", "nowhere"))

exported = pytest.mark.skipif(not (EXPORT / "openvino_model.xml").is_file(), reason="no exported model is named")


@pytest.fixture(scope="module")
def engine() -> Iterator[OpenvinoEngine]:
    made = OpenvinoEngine(MODEL, ExportedModel(directory=EXPORT), slots=8, window=1024)
    yield made
    made.close()


def asked(id_: str, text: str = "The capital of France is", **given: Any) -> Generation:
    ids = load_tokenizer(MODEL)(text)["input_ids"]
    usual = {"prompt": tuple(ids), "max_new_tokens": 16, "sampling": Sampling(temperature=0)}
    return Generation(id=id_, **{**usual, **given})


def test_a_folder_without_an_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no openvino_model"):
        OpenvinoEngine(tmp_path, ExportedModel(directory=tmp_path))
    assert sys.modules["openvino_telemetry"] is None


@pytest.mark.slow
@exported
def test_it_computes_what_the_reference_does(engine: OpenvinoEngine) -> None:
    longest = engine.facts.window - NEW_TOKENS
    prompts, left_out = parity_prompts(load_tokenizer(MODEL), engine.facts.vocabulary_size, longest)
    comparison = compare(ask_all(asking_engine(engine), engine.facts, prompts, left_out), Reference(MODEL), None)
    assert comparison.because() == []
    assert comparison.tokens > 300


@pytest.mark.slow
@exported
def test_stop_strings_cancelling_and_forms(engine: OpenvinoEngine) -> None:
    whole = answers(engine, [asked("it")])["it"]
    assert len(whole.ids) == 16
    assert whole.finished == "length"
    stop = whole.text[5:9]
    cut = answers(engine, [asked("it", stop=(stop,))])["it"]
    assert (cut.text, cut.finished, cut.stopped_by) == (whole.text[: whole.text.index(stop)], "stop", stop)
    assert (engine.running, engine.waiting) == (0, 0)

    for number in range(10):
        engine.add(asked(str(number), max_new_tokens=200))
    engine.step()
    assert (engine.running, engine.waiting) == (8, 2)
    for number in range(10):
        engine.cancel(str(number))
    assert (engine.running, engine.waiting) == (0, 0)
    assert answers(engine, [asked("after")])["after"].ids == whole.ids

    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["age"],
        "additionalProperties": False,
    }
    form = answers(engine, [asked("form", max_new_tokens=100, constraint=JsonSchema(value=schema))])["form"]
    assert form.finished == "stop"
    assert set(json.loads(form.text)) == {"age"}
    last = answers(engine, [asked("many", min_new_tokens=3, max_new_tokens=5, alternatives=0)])["many"]
    assert all(token.log_probability is not None and token.log_probability <= 0 for token in last.tokens)


@pytest.mark.slow
@exported
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"alternatives": 2}, "alternatives"),
        ({"sampling": Sampling(logit_bias={3: 1.0})}, "biases"),
        ({"constraint": Grammar(value='start: "a"')}, "grammars"),
        ({"adapter": "wards"}, "wards"),
    ],
)
def test_what_it_cannot_do_is_refused(engine: OpenvinoEngine, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        engine.add(asked("it", **given))
