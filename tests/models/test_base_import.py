"""Base models that come in: plain, whole, the same by every way, and never by running what is in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from loresmith.data.encoding import Encoder
from loresmith.errors import UserError
from loresmith.models.generate import complete
from loresmith.models.offline import transformers
from loresmith.models.steps import IMPORT_MODEL, ImportModelConfig
from loresmith.models.storage import load_model, save_model
from tests.models.found_model import change, found_folder, run_import, shard
from tests.models.test_storage import digests, small
from tests.models.tiny_tokenizer import END, make_tokenizer
from tests.step_context import RecordingContext, run_step


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found_folder(tmp_path_factory.mktemp("hub") / "some-model")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(original, tmp_path / "model"))


def test_a_folder_comes_in_as_it_was_and_as_nothing_else(original: Path, tmp_path: Path) -> None:
    result = run_import(tmp_path, path=str(original))
    model = result.outputs["model"].directory
    assert {file.name for file in model.iterdir()} == {
        "LICENSE",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    for name in ("model.safetensors", "tokenizer.json"):
        assert (model / name).read_bytes() == (original / name).read_bytes()
    assert str(original) not in "".join(file.read_text() for file in model.glob("*.json"))
    facts = result.outputs["model"].metadata
    assert facts["licence"] == "apache-2.0"
    assert facts["origin"]["files"]["model.safetensors"] == digests(original)["model.safetensors"]
    assert facts["origin"]["files"].keys() & {"modeling_own.py", "training_args.bin"} == set()
    (account,) = result.books.accounts
    assert (account.unit, account.entered, account.kept) == ("weights", facts["parameters"], facts["parameters"])


def test_the_tokenizer_alone_is_what_the_model_carries_and_packing_takes_it(original: Path, tmp_path: Path) -> None:
    outputs = run_import(tmp_path, path=str(original)).outputs
    alone, beside = digests(outputs["tokenizer"].directory), digests(outputs["model"].directory)
    assert alone.items() <= beside.items()
    for output in outputs.values():
        encoder = Encoder.load(output.directory)
        assert encoder.text(encoder.document("def f(x): 日本語")[:-1]) == "def f(x): 日本語"
        assert encoder.document("")[0] == make_tokenizer().eos_token_id


def test_the_same_model_gives_the_same_bytes_wherever_it_lies(original: Path, folder: Path, tmp_path: Path) -> None:
    first, second = (run_import(tmp_path / str(n), path=str(path)) for n, path in enumerate((original, folder)))
    for role in ("model", "tokenizer"):
        assert digests(first.outputs[role].directory) == digests(second.outputs[role].directory)
        assert first.outputs[role].metadata == second.outputs[role].metadata


def test_the_fingerprint_is_of_the_content(original: Path, folder: Path) -> None:
    assert IMPORT_MODEL.fingerprint is not None
    before = IMPORT_MODEL.fingerprint(ImportModelConfig(path=str(original)))
    assert IMPORT_MODEL.fingerprint(ImportModelConfig(path=str(folder))) == before
    (folder / "modeling_own.py").write_text("another\n")
    assert IMPORT_MODEL.fingerprint(ImportModelConfig(path=str(folder))) == before
    change(folder / "generation_config.json", temperature=0.1)
    assert IMPORT_MODEL.fingerprint(ImportModelConfig(path=str(folder))) != before


def test_weights_in_shards_and_a_single_file_of_any_name(original: Path, tmp_path: Path) -> None:
    weights = load_file(original / "model.safetensors")
    sharded, alone = (Path(shutil.copytree(original, tmp_path / name)) for name in ("sharded", "alone"))
    shard(sharded)
    (alone / "model.safetensors").rename(alone / "consolidated.safetensors")
    for path in (sharded, alone / "consolidated.safetensors"):
        made = run_import(tmp_path / f"of-{path.name}", path=str(path)).outputs["model"].directory
        model, _ = load_model(made)
        assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_another_type_is_written_where_it_is_asked_for(original: Path, tmp_path: Path) -> None:
    result = run_import(tmp_path, path=str(original), dtype="bfloat16")
    model, tokenizer = load_model(result.outputs["model"].directory)
    assert model.dtype == torch.bfloat16
    assert result.outputs["model"].metadata["dtype"] == "bfloat16"
    plain, _ = load_model(original)
    assert torch.equal(model.lm_head.weight, plain.lm_head.weight.bfloat16())
    assert tokenizer.chat_template


def test_the_end_of_a_document_can_be_another_token_than_that_of_a_turn(original: Path, tmp_path: Path) -> None:
    result = run_import(tmp_path, path=str(original), end_of_document="<|im_end|>")
    made = result.outputs["model"].directory
    turn = make_tokenizer().convert_tokens_to_ids("<|im_end|>")
    assert Encoder.load(made).end_of_document == turn
    model, _ = load_model(made)
    assert model.generation_config.eos_token_id == [0, turn]
    with pytest.raises(
        UserError, match=r"no token '<\|end\|' to end a document with; its special tokens are <\|end\|>"
    ):
        run_import(tmp_path / "wrong", path=str(original), end_of_document=END[:-1])


def test_labels_and_licence_are_what_the_recipe_says(original: Path, tmp_path: Path) -> None:
    made = run_import(tmp_path, path=str(original), licence="our own", labels=["restricted", "eu"]).outputs
    assert all(output.labels == ("eu", "restricted") for output in made.values())
    assert made["model"].metadata["licence"] == "our own"


def test_what_tokenizer_json_says_counts_and_not_a_class_of_transformers(folder: Path, tmp_path: Path) -> None:
    """transformers rebuilds a `GPT2Tokenizer` with GPT-2's rules, and loses that digits stand alone."""
    file = folder / "tokenizer.json"
    described = json.loads(file.read_text())
    digits = {"type": "Digits", "individual_digits": True}
    described["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, described["pre_tokenizer"]]}
    described["model"]["vocab"]["12"] = 300
    described["model"]["merges"].append(["1", "2"])
    file.write_text(json.dumps(described))
    change(folder / "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")
    save_model(small(vocabulary_size=301), folder)
    trap = transformers.AutoTokenizer.from_pretrained(folder)("12")["input_ids"]
    made = run_import(tmp_path, path=str(folder)).outputs["model"].directory
    fast, encoder = transformers.AutoTokenizer.from_pretrained(made), Encoder.load(made)
    assert (
        fast("12")["input_ids"]
        == encoder.document("12")[:-1].tolist()
        == [*fast("1")["input_ids"], *fast("2")["input_ids"]]
    )
    assert trap == [300]


def test_an_older_folder_says_its_special_tokens_elsewhere(folder: Path, tmp_path: Path) -> None:
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    del settings["eos_token"]
    file.write_text(json.dumps({**settings, "chat_template": template}))
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": END, "lstrip": False}}))
    made = run_import(tmp_path, path=str(folder)).outputs["model"].directory
    tokenizer = transformers.AutoTokenizer.from_pretrained(made)
    assert (tokenizer.eos_token, tokenizer.chat_template) == (END, template)


def test_a_tokenizer_without_its_fast_form_is_given_one(folder: Path, tmp_path: Path) -> None:
    described = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(described["model"]["vocab"]))
    merges = ["#version: 0.2", *(" ".join(pair) for pair in described["model"]["merges"])]
    (folder / "merges.txt").write_text("\n".join(merges) + "\n")
    ends = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)
    change(folder / "tokenizer_config.json", tokenizer_class="GPT2Tokenizer", **ends)
    made = run_import(tmp_path, path=str(folder)).outputs["tokenizer"].directory
    assert {file.name for file in made.iterdir()} == {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    text = "def f(x): für 日本語"
    assert Encoder.load(made).document(text)[:-1].tolist() == make_tokenizer()(text)["input_ids"]


def test_an_interrupted_import_is_done_again(original: Path, tmp_path: Path) -> None:
    from loresmith.errors import Interrupted

    with pytest.raises(Interrupted):
        run_step(IMPORT_MODEL, tmp_path, {"path": str(original)}, context=RecordingContext(tmp_path, stop_after=2))
    shutil.rmtree(tmp_path / "outputs")  # as the factory does
    made = run_import(tmp_path, path=str(original)).outputs["model"].directory
    model, tokenizer = load_model(made)
    assert len("".join(complete(model, tokenizer, "def", max_new_tokens=4)))
