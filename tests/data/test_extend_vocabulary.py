"""The step extend-vocabulary: from a base and a corpus to a model, the tokenizer that packing takes, and the gain."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from loresmith.data.encoding import Encoder
from loresmith.data.shards import TokenShards
from loresmith.data.steps import EXTEND_VOCABULARY, PACK
from loresmith.errors import Interrupted
from loresmith.factory.step import InputAsset, Result
from loresmith.models.storage import embedding_rows, load_weights, save_model
from tests.data.tables import curate, files_of, rows, write_files
from tests.models.test_storage import small
from tests.models.tiny_tokenizer import make_tokenizer
from tests.step_context import RecordingContext, as_input, run_step

WORDS = ("pneumothorax", "thoracotomy", "hemoglobin", "erythrocyte", "the", "of", "patient", "acute", "größe")


def record(seed: int) -> str:
    chance = random.Random(seed)
    return "\n".join(" ".join(chance.choices(WORDS, k=12)) + f" {seed}{line}" for line in range(12))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> InputAsset:
    folder = tmp_path_factory.mktemp("corpus")
    files = write_files(folder / "in", {f"{number}.txt": record(number) for number in range(30)})
    made = curate(files, folder, validation_share=0.2, test_share=0.1, similarity=1.0)
    return as_input("corpus", made.outputs["corpus"])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> InputAsset:
    folder = tmp_path_factory.mktemp("base")
    make_tokenizer().save_pretrained(folder / "tokenizer")
    save_model(small(), folder / "model", folder / "tokenizer")
    (folder / "model" / "LICENSE").write_text("do as you like\n")
    return InputAsset("0" * 64, "model", folder / "model", {}, ())


def extend(base: InputAsset, corpus: InputAsset, folder: Path, **config: Any) -> Result:
    return run_step(EXTEND_VOCABULARY, folder, {"new_tokens": 48, **config}, {"base": base, "corpus": corpus})


@pytest.fixture(scope="module")
def extended(base: InputAsset, corpus: InputAsset, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return extend(base, corpus, tmp_path_factory.mktemp("extended"))


def test_the_gain_is_that_of_encoding_the_validation_split_with_both(
    base: InputAsset, corpus: InputAsset, extended: Result
) -> None:
    report = json.loads((extended.outputs["report"].directory / "report.json").read_text())
    old, new = Encoder.load(base.directory), Encoder.load(extended.outputs["tokenizer"].directory)
    texts = [row["text"] for row in rows(corpus.directory) if row["split"] == "validation"]
    before, after = (sum(len(encoder.document(text)) - 1 for text in texts) for encoder in (old, new))
    row = report["splits"]["validation"]
    assert row["tokens"] == {"before": before, "after": after}
    assert row["bytes"] == sum(len(text.encode()) for text in texts)
    assert row["gain"] == pytest.approx(before / after - 1, abs=1e-4)
    assert row["gain"] > 0.5
    assert extended.outputs["model"].metadata["gain"]["validation"] == row["gain"]
    assert report["vocabulary_size"] == {"before": 300, "after": 348}
    page = (extended.outputs["report"].directory / "report.md").read_text()
    assert f"| validation | {len(texts)} |" in page
    assert " pneumothorax" in {token["text"] for token in report["tokens"]}
    used = sum(token["in_validation"] > 0 for token in report["tokens"])
    assert row["new_tokens_used"] == used


def test_only_the_training_split_is_learnt_from(base: InputAsset, corpus: InputAsset, extended: Result) -> None:
    documents = rows(corpus.directory)
    learnt = [row for row in documents if row["split"] == "train"]
    (account, bytes_) = extended.books.accounts
    assert (account.entered, account.kept) == (len(documents), len(learnt))
    assert bytes_.kept == sum(row["bytes"] for row in learnt)
    assert {check.kind: check.passed for check in extended.checks} == {"extension-parity": True, "round-trip": True}


def test_its_tokenizer_packs_and_its_model_reads_what_was_packed(
    corpus: InputAsset, extended: Result, tmp_path: Path
) -> None:
    made = extended.outputs
    inputs = {"corpus": corpus, "tokenizer": as_input("tokenizer", made["tokenizer"])}
    shards = TokenShards.open(run_step(PACK, tmp_path, {}, inputs).outputs["tokens"].directory)
    model = load_weights(made["model"].directory)
    assert shards.vocabulary_size == embedding_rows(model) == 348
    for name in ("tokenizer.json", "tokenizer_config.json"):
        packed = (shards.directory / "tokenizer" / name).read_bytes()
        assert packed == (made["model"].directory / name).read_bytes()
    assert (made["model"].directory / "LICENSE").read_text() == "do as you like\n"


def test_the_same_inputs_give_the_same_bytes(
    base: InputAsset, corpus: InputAsset, extended: Result, tmp_path: Path
) -> None:
    again = extend(base, corpus, tmp_path)
    for role, made in again.outputs.items():
        assert files_of(made.directory) == files_of(extended.outputs[role].directory)
        assert made.metadata == extended.outputs[role].metadata


def test_what_is_too_rare_is_not_added(base: InputAsset, corpus: InputAsset, tmp_path: Path) -> None:
    few = extend(base, corpus, tmp_path / "few", new_tokens=1000, minimum_count=150)
    report = json.loads((few.outputs["report"].directory / "report.json").read_text())
    assert 0 < report["new_tokens"] < 100
    assert all(token["learnt_from"] >= 150 for token in report["tokens"])
    none = extend(base, corpus, tmp_path / "none", minimum_count=10**6)
    assert none.outputs["model"].metadata["new_tokens"] == 0
    assert none.outputs["model"].metadata["gain"]["validation"] == 0
    model = none.outputs["model"].directory
    assert (model / "model.safetensors").read_bytes() == (base.directory / "model.safetensors").read_bytes()


def test_a_stop_is_obeyed(base: InputAsset, corpus: InputAsset, tmp_path: Path) -> None:
    for stop_after in (0, 5):
        context = RecordingContext(tmp_path / str(stop_after), stop_after=stop_after)
        with pytest.raises(Interrupted):
            run_step(EXTEND_VOCABULARY, tmp_path, {}, {"base": base, "corpus": corpus}, context)
