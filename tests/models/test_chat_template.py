from __future__ import annotations

import jinja2
import pytest

from loresmith.models.chat_template import TURN_END
from tests.models.tiny_tokenizer import make_tokenizer

CONVERSATION = [
    {"role": "system", "content": "Answer from the manual."},
    {"role": "user", "content": " Where is the filter? "},
    {"role": "assistant", "content": "Behind the panel.\n"},
    {"role": "user", "content": "Thanks"},
    {"role": "assistant", "content": "Welcome"},
]


def test_every_word_of_every_turn_is_rendered() -> None:
    text = make_tokenizer().apply_chat_template(CONVERSATION, tokenize=False)
    for message in CONVERSATION:
        assert f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" in text


def test_a_question_with_its_prompt_is_a_prefix_of_the_answered_conversation() -> None:
    tokenizer = make_tokenizer()
    for answered in (3, 5):
        asked = tokenizer.apply_chat_template(CONVERSATION[: answered - 1], add_generation_prompt=True)["input_ids"]
        whole = tokenizer.apply_chat_template(CONVERSATION[:answered])["input_ids"]
        assert whole[: len(asked)] == asked


def test_what_is_learnt_is_what_the_assistant_writes() -> None:
    tokenizer = make_tokenizer()
    rendered = tokenizer.apply_chat_template(CONVERSATION, return_dict=True, return_assistant_tokens_mask=True)
    learnt = [token for token, mask in zip(rendered["input_ids"], rendered["assistant_masks"], strict=True) if mask]
    assert tokenizer.decode(learnt) == f"Behind the panel.\n{TURN_END}Welcome{TURN_END}"


def test_an_unknown_role_is_refused_by_name() -> None:
    with pytest.raises(jinja2.TemplateError, match="unknown role 'robot'"):
        make_tokenizer().apply_chat_template([{"role": "robot", "content": "beep"}], tokenize=False)
