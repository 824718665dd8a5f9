"""Base models that come in: plain, whole, the same by every way, and never by running what is in them."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from loresmith.data.encoding import Encoder
from loresmith.errors import UserError
from loresmith.factory.step import Result
from loresmith.models.generate import complete
from loresmith.models.offline import transformers
from loresmith.models.steps import IMPORT_MODEL, ImportModelConfig
from loresmith.models.storage import load_model, save_model
from tests.models.test_storage import digests, small
from tests.models.tiny_tokenizer import END, make_tokenizer
from tests.step_context import RecordingContext, run_step


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as one finds it: a model, its tokenizer, a card, a licence, and things that are none of a model's."""
    folder = tmp_path_factory.mktemp("hub") / "some-model"
    make_tokenizer().save_pretrained(folder.parent / "tokenizer")
    save_model(small(), folder, folder.parent / "tokenizer")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    (folder / "LICENSE").write_text("do as you like\n")
    (folder / "training_args.bin").write_bytes(pickle.dumps({"lr": 1}))
    (folder / "modeling_own.py").write_text("raise SystemExit('this ran')\n")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_name_or_path": str(folder)}))
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(original, tmp_path / "model"))


def run_import(target: Path, **config: Any) -> Result:
    settings = ImportModelConfig.model_validate(config)
    assert IMPORT_MODEL.fingerprint is not None
    IMPORT_MODEL.fingerprint(settings)
    return run_step(IMPORT_MODEL, target, config)


def change(file: Path, **keys: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))


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
    _shard(sharded)
    (alone / "model.safetensors").rename(alone / "consolidated.safetensors")
    for path in (sharded, alone / "consolidated.safetensors"):
        made = run_import(tmp_path / f"of-{path.name}", path=str(path)).outputs["model"].directory
        model, _ = load_model(made)
        assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def _shard(folder: Path) -> Path:
    """Split the weights over two files; returns the index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
    for file, held in parts.items():
        save_file({name: weights[name] for name in held}, folder / file, {"format": "pt"})
    index = folder / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"metadata": {}, "weight_map": {name: file for file, held in parts.items() for name in held}})
    )
    return index


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


Spoil = Callable[[Path], Any]


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weights": 1}))


def _missing_shard(folder: Path) -> None:
    _shard(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def _shard_that_lacks_a_tensor(folder: Path) -> None:
    _shard(folder)
    file = folder / "model-00001-of-00002.safetensors"
    weights = load_file(file)
    weights.pop(sorted(weights)[0])
    save_file(weights, file, {"format": "pt"})


def _shard_elsewhere(folder: Path) -> None:
    index = _shard(folder)
    index.write_text(index.read_text().replace("model-00001-of", "../model-00001-of"))


def _not_finite(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] = float("inf")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _with_more(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"] = torch.ones(2, 32)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _larger_vocabulary(folder: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    tokenizer.save_pretrained(folder)


AT_ONCE: dict[str, tuple[Spoil, str, str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), r"it has no config\.json", ""),
    "an adapter": (
        lambda f: (f / "adapter_config.json").write_text('{"base_model_name_or_path": "acme/base"}'),
        "this is an adapter, made for acme/base, and not a model",
        "adapter_config.json",
    ),
    "pickled weights": (_pickled, r"no safetensors weights, only pytorch_model\.bin", ""),
    "weights cut short": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-7]),
        "damaged or cut short",
        "model.safetensors",
    ),
    "a missing shard": (
        _missing_shard,
        r"model-00002-of-00002\.safetensors is missing, which the index names",
        "model.safetensors.index.json",
    ),
    "a shard that lacks a tensor": (
        _shard_that_lacks_a_tensor,
        r"the shard lacks lm_head\.weight",
        "model-00001-of-00002.safetensors",
    ),
    "a shard of another folder": (_shard_elsewhere, "outside the folder", "model.safetensors.index.json"),
    "an index that is none": (
        lambda f: (_shard(f)).write_text("[]"),
        "should be a JSON object",
        "model.safetensors.index.json",
    ),
    "code of its own": (
        lambda f: change(f / "config.json", auto_map={"AutoModelForCausalLM": "modeling_own.Model"}),
        "Python code of its own",
        "config.json",
    ),
    "a tokenizer with code of its own": (
        lambda f: change(f / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Tokenizer", None]}),
        "Python code of its own",
        "tokenizer_config.json",
    ),
    "a quantised model": (
        lambda f: change(f / "config.json", quantization_config={"quant_method": "gptq", "bits": 4}),
        r"quantised \(gptq\)",
        "config.json",
    ),
    "a config that is no JSON": (
        lambda f: (f / "config.json").write_text("{"),
        "cannot be read as JSON",
        "config.json",
    ),
}


@pytest.mark.parametrize(("spoil", "said", "where"), AT_ONCE.values(), ids=AT_ONCE.keys())
def test_what_is_wrong_with_a_base_is_found_when_it_is_planned(
    spoil: Spoil, said: str, where: str, folder: Path
) -> None:
    spoil(folder)
    assert IMPORT_MODEL.fingerprint is not None
    with pytest.raises(UserError, match=said) as caught:
        IMPORT_MODEL.fingerprint(ImportModelConfig(path=str(folder)))
    assert caught.value.where == str(folder / where)


WHEN_READ: dict[str, tuple[Spoil, str, str]] = {
    "infinite weights": (_not_finite, r"NaN or infinity, in model\.norm\.weight", "model.safetensors"),
    "weights without a place": (_with_more, r"hold score\.weight, for which a qwen3 model", ""),
    "a tokenizer that is larger than the embedding": (
        _larger_vocabulary,
        r"tokens up to 300, and the model's embedding 300 rows",
        "",
    ),
    "another geometry": (
        lambda f: change(f / "config.json", intermediate_size=48),
        r"mlp\.down_proj\.weight is 32 x 64 in the weights and 32 x 48 by config\.json",
        "",
    ),
    "more layers than weights": (
        lambda f: change(f / "config.json", num_hidden_layers=3, layer_types=["full_attention"] * 3),
        r"the weights lack model\.layers\.2\.\S+ and \d+ more",
        "",
    ),
    "a model that writes no text": (
        lambda f: change(f / "config.json", model_type="vit"),
        "transformers cannot load",
        "",
    ),
    "no tokenizer": (
        lambda f: [file.unlink() for file in f.glob("*token*")],
        r"there is no tokenizer with this model",
        "",
    ),
    "a tokenizer that is none": (
        lambda f: (f / "tokenizer.json").write_text("{}"),
        "this is no tokenizer",
        "tokenizer.json",
    ),
    "tokens that only a config knows": (
        lambda f: change(f / "tokenizer_config.json", pad_token="[PAD]"),
        r"names tokens that tokenizer\.json does not have: \[PAD\]",
        "",
    ),
    "no end of document": (
        lambda f: change(f / "tokenizer_config.json", eos_token=None),
        r"names no eos_token, with which every document ends; its special tokens are <\|end\|>",
        "",
    ),
}


@pytest.mark.parametrize(("spoil", "said", "where"), WHEN_READ.values(), ids=WHEN_READ.keys())
def test_what_only_reading_shows_is_found_before_anything_is_registered(
    spoil: Spoil, said: str, where: str, folder: Path, tmp_path: Path
) -> None:
    spoil(folder)
    with pytest.raises(UserError, match=said) as caught:
        run_import(tmp_path / "out", path=str(folder))
    assert caught.value.where == str(folder / where)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.ckpt", "model.pth", "model.pkl"])
def test_a_pickle_is_refused_by_its_name_and_left_closed(name: str, folder: Path) -> None:
    file = folder / name
    file.write_bytes(b"never read")
    with pytest.raises(UserError, match=r"a \.safetensors file or a \.gguf file") as caught:
        run_import(folder, path=str(file))
    assert caught.value.where == str(file)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "comes from one place"),
        ({"path": "x", "smollm2": True}, "path and smollm2 are given"),
        ({"path": "/nowhere/at/all"}, "no such file or folder"),
        ({"hub": "acme/base"}, "nothing is looked up there unless it is allowed"),
    ],
)
def test_one_place_that_is_there_is_wanted(config: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        run_import(tmp_path, **config)


def test_an_interrupted_import_is_done_again(original: Path, tmp_path: Path) -> None:
    from loresmith.errors import Interrupted

    with pytest.raises(Interrupted):
        run_step(IMPORT_MODEL, tmp_path, {"path": str(original)}, context=RecordingContext(tmp_path, stop_after=2))
    shutil.rmtree(tmp_path / "outputs")  # as the factory does
    made = run_import(tmp_path, path=str(original)).outputs["model"].directory
    model, tokenizer = load_model(made)
    assert len("".join(complete(model, tokenizer, "def", max_new_tokens=4)))
