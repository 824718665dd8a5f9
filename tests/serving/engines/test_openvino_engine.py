"""The engine `openvino`, over a tiny model that is exported here: it says what it cannot do, and does the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from loresmith.errors import UserError
from loresmith.models.storage import load_tokenizer
from loresmith.serving.engines.exported_model import ExportedModel
from loresmith.serving.engines.generation import Generation, Grammar, JsonSchema, Regex, Sampling
from loresmith.serving.engines.openvino_engine import OpenvinoEngine
from loresmith.serving.parity.asking import NEW_TOKENS, ask_all, asking_engine
from loresmith.serving.parity.comparison import compare
from loresmith.serving.parity.prompts import parity_prompts
from loresmith.serving.parity.reference import Reference
from tests.serving.engines.answers import answers
from tests.serving.engines.openvino_export import export_openvino
from tests.serving.engines.served_models import write_tiny
from tests.serving.engines.test_openvino_forms import FORMS_NOT_FOLLOWED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("openvino_genai") is None, reason="no openvino-genai: pip install '.[openvino]'"),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("served"), "qwen3", torch.float32, window=1024)


@pytest.fixture(scope="module")
def exported(directory: Path) -> Path:
    return export_openvino(directory, directory.parent / "exported")


@pytest.fixture(scope="module")
def engine(directory: Path, exported: Path) -> Iterator[OpenvinoEngine]:
    made = OpenvinoEngine(directory, ExportedModel(directory=exported), precision="fp32", slots=8, window=1024)
    yield made
    made.close()


def asked(id_: str, **given: Any) -> Generation:
    ids = range(40, 60)
    usual = {"prompt": tuple(ids), "max_new_tokens": 16, "sampling": Sampling(temperature=0)}
    return Generation(id=id_, **{**usual, **given})


def test_a_folder_without_an_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no openvino_model"):
        OpenvinoEngine(tmp_path, ExportedModel(directory=tmp_path))
    assert sys.modules["openvino_telemetry"] is None


def test_its_telemetry_is_never_imported(directory: Path, exported: Path) -> None:
    """Not by the engine, nor by what it imports, in a process that imports nothing else of OpenVINO's."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from loresmith.serving.engines.exported_model import ExportedModel\n"
        "from loresmith.serving.engines.openvino_engine import OpenvinoEngine\n"
        "OpenvinoEngine(Path(sys.argv[1]), ExportedModel(directory=Path(sys.argv[2])), precision='fp32', window=64)\n"
        "assert 'openvino' in sys.modules\n"
        "print([name for name, module in sys.modules.items() if name.startswith('openvino_telemetry') and module])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, directory, exported], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_it_computes_what_the_reference_does(directory: Path, tmp_path: Path, precision: Any) -> None:
    folder = export_openvino(directory, tmp_path, int8=precision == "int8")
    engine = OpenvinoEngine(directory, ExportedModel(directory=folder), precision=precision, slots=8, window=1024)
    longest = engine.facts.window - NEW_TOKENS
    prompts, left_out = parity_prompts(load_tokenizer(directory), engine.facts.vocabulary_size, longest)
    comparison = compare(ask_all(asking_engine(engine), engine.facts, prompts, left_out), Reference(directory), None)
    engine.close()
    assert comparison.because() == []
    assert comparison.tokens > 300


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

    ages = [{"age": 3}, {"age": 40}]
    form = answers(engine, [asked("form", max_new_tokens=100, constraint=JsonSchema(value={"enum": ages}))])["form"]
    assert (form.finished, json.loads(form.text) in ages) == ("stop", True)
    last = answers(engine, [asked("many", min_new_tokens=3, max_new_tokens=5, alternatives=0)])["many"]
    assert all(token.log_probability is not None and token.log_probability <= 0 for token in last.tokens)


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


def test_without_a_vocabulary_an_export_holds_no_answer_to_a_form(directory: Path, tmp_path: Path) -> None:
    exported = ExportedModel(directory=export_openvino(directory, tmp_path, tokenizer=False))
    engine = OpenvinoEngine(directory, exported, precision="fp32", window=256)
    with pytest.raises(UserError, match=r"no openvino_detokenizer\.xml"):
        engine.add(asked("form", constraint=JsonSchema(value={"type": "integer"})))
    assert len(answers(engine, [asked("other")])["other"].ids) == 16
    engine.close()


@pytest.mark.parametrize("form", FORMS_NOT_FOLLOWED)
def test_a_form_that_cannot_be_kept_to_ends_no_other_answer(engine: OpenvinoEngine, form: Regex | JsonSchema) -> None:
    with pytest.raises(UserError, match=r"cannot be followed|knows no"):
        engine.add(asked("form", constraint=form))
    assert len(answers(engine, [asked("other")])["other"].ids) == 16
