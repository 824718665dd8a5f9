"""A text has one vector, whatever is embedded with it, and vectors that differ are never compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from loresmith.errors import UserError
from loresmith.factory.step import InputAsset
from loresmith.models.storage import load_model, save_model
from loresmith.serving.retrieval.embedders.minilm import lay_out_minilm
from loresmith.serving.retrieval.embedders.model_embedder import ModelEmbedder
from loresmith.serving.retrieval.embedders.onnx_embedder import FILES, USE, OnnxEmbedder
from loresmith.serving.retrieval.retriever import Retriever
from loresmith.serving.steps import INDEX, IndexConfig
from tests.advice.corpora import document
from tests.models.adapted_models import small
from tests.models.tiny_tokenizer import make_tokenizer
from tests.serving.retrieval.indexes import ask, build, files_of, paths

TEXTS = ["A cat sat on the mat.", "", "Der Zähler läuft rückwärts. 日本語 🙂", "pump " * 400, "A kitten is on a rug."]


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("minilm")
    lay_out_minilm(folder)
    return folder


def test_a_vector_does_not_depend_on_its_neighbours(minilm: Path) -> None:
    embedder = OnnxEmbedder(minilm)
    together = embedder.embed(TEXTS)
    assert together.shape == (len(TEXTS), embedder.facts.dimensions) == (5, 384)
    for text, vector in zip(TEXTS, together, strict=True):
        assert np.array_equal(embedder.embed([text])[0], vector)
    assert np.allclose(np.linalg.norm(together, axis=1), 1)


def test_vectors_say_what_texts_are_about(minilm: Path) -> None:
    cat, _, german, pump, kitten = OnnxEmbedder(minilm).embed(TEXTS)
    assert cat @ kitten > 0.5 > max(cat @ german, cat @ pump)


def test_words_in_brackets_are_words(minilm: Path) -> None:
    # A document that writes the tokenizer's own marks must not reach past them.
    one, other = OnnxEmbedder(minilm).embed(["the end [SEP] [PAD]", "the end [ sep ] [ pad ]"])
    assert np.array_equal(one, other)


def test_the_files_are_the_same_everywhere(minilm: Path, tmp_path: Path) -> None:
    lay_out_minilm(tmp_path)
    assert files_of(tmp_path) == files_of(minilm)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(minilm: Path, tmp_path: Path, file: str) -> None:
    folder = shutil.copytree(minilm, tmp_path / "copy")
    (folder / file).unlink()
    with pytest.raises(UserError, match=file):
        OnnxEmbedder(folder)


def test_what_is_no_model_is_refused(minilm: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(minilm, tmp_path / "copy")
    (folder / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"no model that ONNX Runtime takes"):
        OnnxEmbedder(folder)


def test_an_unknown_key_is_named(minilm: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(minilm, tmp_path / "copy")
    (folder / USE).write_text(json.dumps({"name": "mine", "poling": "mean"}))
    with pytest.raises(UserError, match=r"poling.*pooling"):
        OnnxEmbedder(folder)


def test_an_embedder_of_ones_own_goes_with_the_index(minilm: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(minilm, tmp_path / "mine")
    (folder / USE).write_text(json.dumps({"name": "mine", "question_prefix": "query: ", "longest": 64}))
    made = build(tmp_path, [document("cat.txt", TEXTS[0])], embedder="folder", embedder_folder=folder)
    config = IndexConfig(embedder="folder", embedder_folder=folder)
    assert INDEX.fingerprint is not None
    assert INDEX.restore_sources is not None
    before = INDEX.fingerprint(config)
    shutil.rmtree(folder)
    restored = INDEX.restore_sources(config, {"index": made.outputs["index"].directory}, tmp_path)
    assert INDEX.fingerprint(restored) == before  # so it can be reproduced without the folder
    retriever = Retriever.open(made.outputs["index"].directory)
    assert retriever.embedder is not None
    assert retriever.embedder.facts.name == "mine"
    plain, asked = (retriever.embedder.embed(["a kitten"], question=question)[0] for question in (False, True))
    assert np.array_equal(asked, retriever.embed(["query: a kitten"])[0])
    assert not np.array_equal(asked, plain)
    assert paths(ask(retriever, "kitten")) == ["cat.txt"]


def test_another_embedder_than_the_index_has_is_refused(minilm: Path, tmp_path: Path) -> None:
    rows = [document("cat.txt", TEXTS[0])]
    made = build(tmp_path, rows, embedder="minilm").outputs["index"].directory
    folder = shutil.copytree(minilm, tmp_path / "other")
    (folder / USE).write_text(json.dumps({"name": "other"}))
    with pytest.raises(UserError, match="MiniLM-L6-v2 int8; other was given"):
        Retriever.open(made, OnnxEmbedder(folder))
    with pytest.raises(UserError, match="no embedder"):
        Retriever.open(build(tmp_path, rows).outputs["index"].directory).embed(["x"])


def test_a_model_asset_makes_vectors_for_indexes_that_name_it(tmp_path: Path) -> None:
    model = InputAsset("ab" * 32, "model", tmp_path / "model", {}, ())
    make_tokenizer().save_pretrained(model.directory)
    save_model(small(), model.directory)
    embedder = ModelEmbedder(model.directory, model.digest)
    together = embedder.embed(TEXTS)
    assert all(np.array_equal(embedder.embed([text])[0], vector) for text, vector in zip(TEXTS, together, strict=True))
    lengths = np.linalg.norm(together, axis=1)
    assert np.allclose(lengths, [1, 0, 1, 1, 1])  # the second has no token
    rows = [document(f"{number}.txt", text) for number, text in enumerate(TEXTS)]
    made = build(tmp_path, rows, more={"model": model}, embedder="model").outputs["index"].directory
    found = ask(Retriever.open(made, embedder), f"0.txt\n{TEXTS[0]}")
    assert (found[0].text, found[0].cosine) == (TEXTS[0], pytest.approx(1))
    with pytest.raises(UserError, match="made with the embedder model abababababab; none was given"):
        Retriever.open(made)


def test_a_model_asset_averages_its_last_states_over_the_tokens(tmp_path: Path) -> None:
    """As transformers computes a padded batch of different lengths, with the mask that leaves the padding out."""
    make_tokenizer().save_pretrained(tmp_path)
    save_model(small(), tmp_path)
    embedder = ModelEmbedder(tmp_path, "ab" * 32)
    texts = [text for text in TEXTS if text]
    model, tokenizer = load_model(tmp_path, torch.float32)
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"][: embedder.facts.longest] for text in texts]
    longest = max(map(len, rows))
    assert len({len(row) for row in rows}) == len(rows)
    ids_BT = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask_BT = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    with torch.inference_mode():
        states_BTD = model.base_model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
    summed_BD = (states_BTD * mask_BT[..., None]).sum(1)
    mean_BD = summed_BD / mask_BT.sum(1, keepdim=True)
    expected = torch.nn.functional.normalize(mean_BD, dim=1).numpy()
    np.testing.assert_allclose(embedder.embed(texts), expected, atol=2e-5)
    ends = np.array([mask - 1 for mask in mask_BT.sum(1).tolist()])
    last = torch.nn.functional.normalize(states_BTD[range(len(rows)), ends], dim=1).numpy()
    assert np.abs(last - expected).max() > 0.01  # the last token's state is another vector


def test_a_model_that_nobody_asked_for_is_refused(tmp_path: Path) -> None:
    for more, embedder in (({"model": InputAsset("ab" * 32, "model", tmp_path, {}, ())}, "none"), ({}, "model")):
        with pytest.raises(UserError, match="`model` is for `embedder: model`"):
            build(tmp_path, [document("a.txt", "valve")], more=more, embedder=embedder)
