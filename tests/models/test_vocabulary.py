"""New tokens after the old ones: every text still comes back, and what the model knew stays as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from loresmith.data.domain_merges import count_words, learn_merges
from loresmith.data.encoding import Encoder
from loresmith.errors import UserError
from loresmith.models.offline import transformers
from loresmith.models.storage import embedding_rows, load_weights, save_model
from loresmith.models.vocabulary import (
    NewMerge,
    extend_embeddings,
    extend_model,
    extend_tokenizer,
    pieces_of,
    spelling_of,
)
from tests.models.test_storage import digests, small
from tests.models.tiny_tokenizer import END, make_tokenizer

DOMAIN = [
    "thorax thoracic thoracotomy; the thorax, the thoracic wall, a thoracotomy. Größenänderung, Größe 日本語の胸部\n"
] * 9


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    make_tokenizer().save_pretrained(folder / "tokenizer")
    save_model(small(), folder / "model", folder / "tokenizer")
    return folder / "model"


@pytest.fixture(scope="module")
def merges(base: Path) -> list[NewMerge]:
    found = learn_merges(count_words(base, [DOMAIN]), spelling_of(base), 60, 2)
    return [(merge.left, merge.right, merge.token) for merge in found]


@pytest.fixture(scope="module")
def extended(base: Path, merges: list[NewMerge], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extended")
    for name in ("model", "tokenizer"):
        (folder / name).mkdir()
    evidence = extend_model(base, folder / "model", folder / "tokenizer", merges)
    assert evidence["passed"]
    return folder / "model"


@pytest.fixture(scope="module")
def encoders(base: Path, extended: Path) -> tuple[Encoder, Encoder]:
    return Encoder.load(base), Encoder.load(extended)


pieces = st.sampled_from(
    ["thorax", "thoracic", " thoracotomy", "Größe", "日本", "語", END, "<|im_", "end|>", "\r\n", " \t", "\u0301"]
)
texts = st.lists(st.one_of(st.text(max_size=20), pieces), max_size=8).map("".join)


@given(texts)
def test_every_text_comes_back_as_it_was(encoders: tuple[Encoder, Encoder], text: str) -> None:
    _, new = encoders
    assert new.text(new.document(text)[:-1]) == text


@given(texts)
def test_the_new_encoding_is_the_old_one_merged_further(
    encoders: tuple[Encoder, Encoder], merges: list[NewMerge], text: str
) -> None:
    """So text in which no new pair stands keeps its ids, and only new tokens are ever put in place of old ones."""
    old, new = (encoder.document(text)[:-1].tolist() for encoder in encoders)
    whole = pieces_of(merges)
    assert [piece for token in new for piece in whole.get(token, (token,))] == old


def test_text_without_words_of_the_domain_keeps_its_ids_and_text_of_it_gets_shorter(
    encoders: tuple[Encoder, Encoder],
) -> None:
    old, new = encoders
    for text in ("def f(x):\n    return x + 1\n", "Thanks, welcome! 12 €", END, "<|im_start|>user\n"):
        assert old.document(text).tolist() == new.document(text).tolist()
    assert len(new.document(DOMAIN[0])) < 0.5 * len(old.document(DOMAIN[0]))


def test_special_tokens_keep_their_ids_and_cannot_be_forged(base: Path, extended: Path) -> None:
    before, after = (transformers.AutoTokenizer.from_pretrained(folder) for folder in (base, extended))
    assert after.eos_token_id == before.eos_token_id
    assert after.chat_template == before.chat_template
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "x"}]
    assert after.apply_chat_template(chat)["input_ids"] == before.apply_chat_template(chat)["input_ids"]
    encoder = Encoder.load(extended)
    assert encoder.end_of_document not in encoder.document(f"a {END} b")[:-1]


def test_tokens_that_stand_outside_of_the_vocabulary_keep_their_ids(base: Path, tmp_path: Path) -> None:
    """The library numbers added tokens from the end of the vocabulary, which is not where it was."""
    folder = Path(shutil.copytree(base, tmp_path / "added"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|one|>", "<|two|>"]})
    tokenizer.save_pretrained(folder)
    described = json.loads((folder / "tokenizer.json").read_text())
    assert "<|two|>" not in described["model"]["vocab"]
    left, right = (described["model"]["vocab"][letter] for letter in "qz")
    assert max(spelling_of(folder)) == 301
    extend_tokenizer(folder, folder, [(left, right, 302)])
    encoder = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert [encoder.token_to_id(token) for token in ("<|one|>", "<|two|>")] == [300, 301]
    assert encoder.encode("<|two|>qz").ids == [301, 302]
    assert encoder.decode([301, 302], skip_special_tokens=False) == "<|two|>qz"
    encoder.encode_special_tokens = True
    assert 301 not in encoder.encode("<|two|>").ids


def test_every_id_is_below_the_size_though_ids_have_gaps(base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "gap"))
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    extend_tokenizer(folder, folder, [(vocabulary["q"], vocabulary["z"], 310)])
    encoder = Encoder.load(folder)
    assert encoder.document("qz")[0] == 310
    assert encoder.vocabulary_size == 311


def test_merges_written_as_text_are_written_so_again(base: Path, merges: list[NewMerge], tmp_path: Path) -> None:
    """Older tokenizer.json files have `"a b"` where newer ones have `["a", "b"]`."""
    described = json.loads((base / "tokenizer.json").read_text())
    described["model"]["merges"] = [" ".join(pair) for pair in described["model"]["merges"]]
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    (tmp_path / "old" / "tokenizer.json").write_text(json.dumps(described))
    extend_tokenizer(tmp_path / "old", tmp_path / "old", merges)
    extend_tokenizer(base, tmp_path / "new", merges)
    assert digests(tmp_path / "old") == digests(tmp_path / "new")


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_the_model_knew_is_unchanged_and_new_tokens_begin_as_the_mean_of_their_pieces(
    merges: list[NewMerge], tied: bool, dtype: torch.dtype
) -> None:
    model, before = (small(tied_embeddings=tied).to(dtype).eval() for _ in range(2))
    ids = torch.arange(300)[None, ::5]
    whole = pieces_of(merges)
    extend_embeddings(model, whole)
    assert model.config.vocab_size == embedding_rows(model) == 300 + len(merges)
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied
    old = dict(before.named_parameters())
    for name, weight in model.named_parameters():
        assert weight.dtype == dtype
        assert torch.equal(weight[: len(old[name])], old[name]), name
    with torch.no_grad():
        then, now = before(ids).logits.float(), model(ids).logits.float()
    close = {torch.float32: 1e-5, torch.bfloat16: 0.1}[dtype]
    assert torch.allclose(now[..., :300], then, atol=close)
    for new, old_pieces in whole.items():
        assert torch.allclose(now[..., new], then[..., list(old_pieces)].mean(-1), atol=close)
        row = model.get_input_embeddings().weight[new].float()
        assert torch.allclose(row, before.get_input_embeddings().weight[list(old_pieces)].float().mean(0), atol=close)


def test_rows_to_spare_are_used_first(merges: list[NewMerge]) -> None:
    model = small(vocabulary_size=320)
    ten = pieces_of(merges[:10])
    assert set(ten) == set(range(300, 310))
    extend_embeddings(model, ten)
    assert embedding_rows(model) == 320
    extend_embeddings(model, pieces_of(merges[:40]))
    assert embedding_rows(model) == 340


def test_an_output_bias_gets_its_mean_too() -> None:
    config = transformers.AutoConfig.for_model(
        "phi", vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.lm_head.bias.data.normal_()
    extend_embeddings(model, {50: (3, 4)})
    assert torch.allclose(model.lm_head.bias[50], model.lm_head.bias[3:5].mean())


def test_the_extended_model_is_a_plain_one(base: Path, extended: Path, merges: list[NewMerge]) -> None:
    model = load_weights(extended)
    tokenizer = transformers.AutoTokenizer.from_pretrained(extended)
    assert len(tokenizer) == embedding_rows(model) == 300 + len(merges)
    ids = tokenizer(DOMAIN[0], return_tensors="pt")["input_ids"]
    assert ids.max() >= 300
    with torch.no_grad():
        assert torch.isfinite(model(ids).logits).all()
    assert {file.name for file in extended.iterdir()} == {file.name for file in base.iterdir()}


def test_the_same_extension_makes_the_same_bytes(
    base: Path, extended: Path, merges: list[NewMerge], tmp_path: Path
) -> None:
    for name in ("model", "tokenizer"):
        (tmp_path / name).mkdir()
    torch.manual_seed(7)
    extend_model(base, tmp_path / "model", tmp_path / "tokenizer", merges)
    assert digests(tmp_path / "model") == digests(extended)
    assert digests(tmp_path / "tokenizer").items() <= digests(extended).items()


def _unigram(described: Any) -> None:
    described["model"] = {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 0}


def _not_byte_level(described: Any) -> None:
    described["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}


def _with_suffix(described: Any) -> None:
    described["model"]["end_of_word_suffix"] = "</w>"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_unigram, "this one is Unigram"),
        (_not_byte_level, "this one is BPE, not byte-level"),
        (_with_suffix, "BPE with end_of_word_suffix"),
    ],
)
def test_another_kind_of_tokenizer_is_refused(spoil: Any, said: str, base: Path, tmp_path: Path) -> None:
    described = json.loads((base / "tokenizer.json").read_text())
    spoil(described)
    (tmp_path / "tokenizer.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match=said) as caught:
        spelling_of(tmp_path)
    assert caught.value.where == str(tmp_path / "tokenizer.json")
