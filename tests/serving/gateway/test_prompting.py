"""Conversations as applications send them, in the templates that published models come with."""

from __future__ import annotations

from typing import Any

import pytest

from loresmith.models.conversation import ConversationRenderer
from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.prompting import turn_of
from tests.serving.engines.served_models import make_tokenizer

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""As SmolLM2 and many others have it: it takes for granted that every message has a text."""

CALLS: list[dict[str, Any]] = [
    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
]


def rendered(*messages: dict[str, Any]) -> str:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = CHATML
    turns = [turn_of(message) for message in messages]
    return str(tokenizer.decode(ConversationRenderer(tokenizer).prompt(turns).tolist()))


def test_a_turn_of_calls_alone_goes_into_a_plain_template() -> None:
    """What every application with tools sends back: `content: null` beside the calls."""
    asked = {"role": "user", "content": "How is the weather?"}
    called = {"role": "assistant", "tool_calls": CALLS}
    gave = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    assert "<|im_start|>assistant\n<|im_end|>\n<|im_start|>tool\nsunny<|im_end|>" in rendered(asked, called, gave)


def test_a_refusal_is_what_was_said() -> None:
    assert "I may not.<|im_end|>" in rendered({"role": "assistant", "refusal": "I may not."})
    parts = [{"type": "text", "text": "No: "}, {"type": "refusal", "refusal": "I may not."}]
    assert "No: I may not.<|im_end|>" in rendered({"role": "assistant", "content": parts})


def test_a_part_without_text_is_named() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    with pytest.raises(Problem, match="'image_url': models here read text alone"):
        turn_of({"role": "user", "content": [{"type": "text", "text": "Look:"}, picture]})
