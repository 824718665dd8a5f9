"""Bits per byte is a property of the model and the text, not of windows, batches or chunks."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

from loresmith.evaluation import bits_per_byte as subject
from loresmith.evaluation.bits_per_byte import TokenDocument, bits_per_byte, score_documents, spans

VOCABULARY = 50


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


def documents(*lengths: int) -> list[TokenDocument]:
    draw = np.random.default_rng(7)
    return [
        TokenDocument(f"d{n}", "g", draw.integers(0, VOCABULARY, length + 1), 3 * length)
        for n, length in enumerate(lengths)
    ]


def one_pass(model: nn.Module, document: TokenDocument) -> float:
    """The definition, without windows, batches or chunks."""
    ids = torch.as_tensor(np.asarray(document.ids))
    if len(ids) == 1:
        return 0.0
    with torch.no_grad():
        log_probabilities = model(ids[None, :-1]).logits[0].float().log_softmax(-1)
    return -float(log_probabilities.gather(1, ids[1:, None]).sum())


class CopiesTheLast(nn.Module):
    """Gives probability 1/2 to repeating the last token and shares the rest: knows one token of context."""

    def forward(self, ids_BT: Tensor) -> SimpleNamespace:
        share = math.log(0.5 / (VOCABULARY - 1))
        logits_BTV = torch.full((*ids_BT.shape, VOCABULARY), share)
        return SimpleNamespace(logits=logits_BTV.scatter(2, ids_BT[..., None], math.log(0.5)))


@given(st.integers(0, 300), st.integers(1, 64), st.data())
@settings(max_examples=200, deadline=None)
def test_every_prediction_is_counted_once_and_sees_the_context_promised(
    predictions: int, window: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, window))
    counted: list[int] = []
    for span in spans(predictions, window, stride):
        assert 0 <= span.start <= span.counted < span.end <= predictions
        assert span.end - span.start <= window
        for position in range(span.counted, span.end):
            counted.append(position)
            assert position + 1 - span.start >= min(position + 1, window - stride + 1)
    assert counted == list(range(predictions))


def test_windows_and_batches_do_not_change_what_one_pass_gives(model: LlamaForCausalLM) -> None:
    texts = documents(17, 0, 1, 40, 5, 33)
    scores = score_documents(model, texts, window=40, batch_tokens=64)
    assert [score.key for score in scores] == [text.key for text in texts]
    for score, text in zip(scores, texts, strict=True):
        assert score.tokens == len(text.ids) - 1
        assert score.nats == pytest.approx(one_pass(model, text), rel=1e-5, abs=1e-6)


def test_shorter_windows_agree_where_the_model_needs_no_more_context() -> None:
    texts = documents(31, 8, 64)
    whole = [one_pass(CopiesTheLast(), text) for text in texts]
    for window, stride in ((1, 1), (2, 1), (8, 8), (8, 3), (64, 64)):
        scores = score_documents(CopiesTheLast(), texts, window=window, stride=stride, batch_tokens=40)
        assert [score.nats for score in scores] == pytest.approx(whole, rel=1e-5)


def test_a_uniform_model_needs_log2_of_the_vocabulary_for_each_token(model: LlamaForCausalLM) -> None:
    uniform = LlamaForCausalLM(model.config)
    uniform.lm_head.weight.data.zero_()
    scores = score_documents(uniform, documents(31, 100, 9), window=16)
    assert bits_per_byte(scores) == pytest.approx(math.log2(VOCABULARY) / 3, rel=1e-6)


def test_chunks_of_the_head_do_not_show(model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = documents(50, 20)
    whole = score_documents(model, texts, window=32)
    monkeypatch.setattr(subject, "LOGITS_AT_MOST", 7 * VOCABULARY)
    for chunked, score in zip(score_documents(model, texts, window=32), whole, strict=True):
        assert chunked.nats == pytest.approx(score.nats, rel=1e-6)


def test_a_family_that_caps_its_logits_is_scored_by_its_own_logits() -> None:
    torch.manual_seed(0)
    capped = Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            final_logit_softcapping=0.5,
            initializer_range=1.0,
        )
    ).eval()
    (text,) = documents(20)
    (score,) = score_documents(capped, [text], window=20)
    assert score.nats == pytest.approx(one_pass(capped, text), rel=1e-5)


def test_a_family_whose_stream_stays_in_fp32_is_scored_in_bfloat16_too() -> None:
    torch.manual_seed(0)
    config = MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, state_size=4)
    mamba = MambaForCausalLM(config).bfloat16().eval()
    (text,) = documents(20)
    (score,) = score_documents(mamba, [text], window=20)
    assert score.nats == pytest.approx(one_pass(mamba, text), rel=1e-5)


def test_the_model_is_left_in_its_mode_and_the_numbers_repeat(model: LlamaForCausalLM) -> None:
    model.train()
    first, second = (score_documents(model, documents(70, 30), window=16) for _ in range(2))
    assert model.training
    model.eval()
    assert first == second


def test_no_bytes_is_not_a_number() -> None:
    assert math.isnan(bits_per_byte([]))
