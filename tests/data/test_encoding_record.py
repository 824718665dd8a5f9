from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from loresmith.data.encoding import Encoder
from loresmith.data.encoding_record import RECORD_FILE, EncodingRecord, compare_encoders, open_tokenizer, write_record
from loresmith.data.fast_encoding import FastEncoding
from loresmith.data.pack import pack
from loresmith.data.steps import PACK, TRAIN_TOKENIZER
from loresmith.data.tokenizer_training import save_tokenizer, train_byte_pairs
from loresmith.factory.step import InputAsset
from tests.data.tables import curate, files_of, write_files
from tests.step_context import RecordingContext, as_input, run_step

TEXT = "def pump(pressure, valve):\n    return valve.open(pressure) + 12345\n\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> InputAsset:
    folder = tmp_path_factory.mktemp("corpus")
    words = TEXT.split()
    files = {
        f"{seed}.txt": TEXT + " ".join(random.Random(seed).choices([*words, "é", "中文", "<|im_end|>"], k=60))
        for seed in range(30)
    }
    result = curate(write_files(folder / "in", files), folder, profile="none", validation_share=0.2, test_share=0.2)
    return as_input("corpus", result.outputs["corpus"])


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    folder = tmp_path / "tokenizer"
    save_tokenizer(train_byte_pairs([TEXT * 3], 300, 2), folder)
    return folder


def of_another(tmp_path: Path) -> FastEncoding:
    """A fast encoder that gives other ids: it is of a tokenizer that learnt from another text."""
    save_tokenizer(train_byte_pairs(["pumps pump pumped pumping valves valve " * 3], 281, 2), tmp_path / "another")
    return FastEncoding(open_tokenizer(tmp_path / "another"))


def test_a_trained_tokenizer_says_that_the_fast_encoder_agreed_and_it_is_used(
    corpus: InputAsset, tmp_path: Path
) -> None:
    made = run_step(TRAIN_TOKENIZER, tmp_path, {"vocabulary_size": 330}, {"corpus": corpus}).outputs["tokenizer"]
    record = EncodingRecord.model_validate_json((made.directory / RECORD_FILE).read_bytes())
    assert (record.agreed, record.reason, record.documents) == (True, "", corpus.metadata["documents"])
    assert record.bytes == corpus.metadata["bytes"]
    encoder = Encoder.load(made.directory)
    assert encoder.library.startswith("tiktoken ")
    assert made.metadata["encoder"] == {"library": encoder.library, "compared": record.documents, "reason": ""}
    texts = [TEXT, "", "<|im_end|> 中文\r\n", " " * 200_001]
    for fast, exact in zip(encoder.documents(texts), encoder.made_exact().documents(texts), strict=True):
        assert fast.tolist() == exact.tolist()
        assert fast.dtype == exact.dtype


def test_without_a_record_or_with_another_one_the_tokenizer_itself_is_used(tokenizer: Path) -> None:
    assert Encoder.load(tokenizer).library.startswith("tokenizers ")
    record = compare_encoders(tokenizer, [("a", TEXT)])
    write_record(record, tokenizer)
    assert Encoder.load(tokenizer).library.startswith("tiktoken ")
    for other in (
        record.model_copy(update={"agreed": False}),
        record.model_copy(update={"tokenizer": "0" * 64}),
        record.model_copy(update={"libraries": (record.libraries[0], "tiktoken 0.0.1")}),
        record.model_copy(update={"libraries": ("tokenizers 0.0.1", record.libraries[1])}),
        record.model_copy(update={"format": 2}),
    ):
        write_record(other, tokenizer)
        assert Encoder.load(tokenizer).library.startswith("tokenizers "), other


def test_a_tokenizer_that_was_changed_after_the_record_is_compared_anew(tokenizer: Path) -> None:
    write_record(compare_encoders(tokenizer, [("a", TEXT)]), tokenizer)
    described = json.loads((tokenizer / "tokenizer.json").read_text())
    (tokenizer / "tokenizer.json").write_text(json.dumps(described))
    assert Encoder.load(tokenizer).library.startswith("tokenizers ")


def test_a_disagreement_is_said_and_the_fast_encoder_not_used(tokenizer: Path, tmp_path: Path) -> None:
    record = compare_encoders(tokenizer, [("a.txt", "zz"), ("b.txt", "pumped")], of_another(tmp_path))
    assert not record.agreed
    assert record.reason == "the ids of a probe differ"
    write_record(record, tokenizer)
    assert Encoder.load(tokenizer).library.startswith("tokenizers ")
    assert compare_encoders(tokenizer, [("a.txt", "zz"), ("b.txt", "pumped")]).agreed


def test_packing_on_a_disagreement_is_done_anew_by_the_tokenizer_itself(
    corpus: InputAsset, tokenizer: Path, tmp_path: Path
) -> None:
    results, folders = [], []
    for number, fast in enumerate((None, of_another(tmp_path))):
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        results.append(pack(corpus.directory, tokenizer, folders[-1], 1 << 12, lambda *_: None, fast))
    agreed, differed = results
    assert str(agreed.encoder["library"]).startswith("tiktoken ")
    assert (agreed.encoder["compared"], agreed.encoder["reason"]) == (corpus.metadata["documents"], "")
    assert str(differed.encoder["library"]).startswith("tokenizers ")
    assert str(differed.encoder["reason"]).startswith("the faster encoder gave other ids for ")
    assert files_of(folders[0]) == files_of(folders[1])
    assert (agreed.entered, agreed.splits, agreed.round_trip) == (
        differed.entered,
        differed.splits,
        differed.round_trip,
    )


def test_packing_with_a_tokenizer_that_has_no_fast_way_says_so(
    corpus: InputAsset, tokenizer: Path, tmp_path: Path
) -> None:
    strange = tmp_path / "strange"
    shutil.copytree(tokenizer, strange)
    described = json.loads((tokenizer / "tokenizer.json").read_text())
    described["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\w+|\W+"
    (strange / "tokenizer.json").write_text(json.dumps(described))
    context = RecordingContext(tmp_path)
    inputs = {"corpus": corpus, "tokenizer": InputAsset("", "tokenizer", strange, {}, ())}
    made = run_step(PACK, tmp_path, {}, inputs, context).outputs["tokens"]
    assert made.metadata["encoder"]["library"].startswith("tokenizers ")
    assert "where it cuts a text" in made.metadata["encoder"]["reason"]
    assert any("the slower way: where it cuts a text" in line for line in context.logs)
