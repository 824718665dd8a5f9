from __future__ import annotations

import json
from typing import Any

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
TOOLS = [
    {
        "type": "function",
        "function": {"name": "stock", "description": "Parts <in> stock", "parameters": {"type": "object"}},
    },
    {"name": "order", "parameters": {"type": "object", "properties": {"part": {"type": "string"}}}},
]
CALLS = [
    {"type": "function", "id": "1", "function": {"name": "stock", "arguments": {"part": "OF-12 ü", "left": True}}},
    {"name": "order", "arguments": '{"part": "OF-12"}'},
]
WITH_TOOLS = [
    *CONVERSATION[:2],
    {"role": "assistant", "content": "", "tool_calls": CALLS},
    {"role": "tool", "content": "3", "tool_call_id": "1"},
    {"role": "tool", "content": '{"ordered": true}'},
    {"role": "assistant", "content": "Three are left.", "tool_calls": CALLS[:1], "reasoning_content": "I counted."},
]


def rendered(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None) -> str:
    return str(make_tokenizer().apply_chat_template(messages, tools=tools, tokenize=False))


def learnt(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None) -> str:
    tokenizer = make_tokenizer()
    whole = tokenizer.apply_chat_template(messages, tools=tools, return_dict=True, return_assistant_tokens_mask=True)
    ids = [token for token, mask in zip(whole["input_ids"], whole["assistant_masks"], strict=True) if mask]
    return str(tokenizer.decode(ids))


def test_every_word_of_every_turn_is_rendered() -> None:
    for message in CONVERSATION:
        assert f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" in rendered(CONVERSATION)


@pytest.mark.parametrize("tools", [None, TOOLS], ids=["without tools", "with tools"])
@pytest.mark.parametrize("conversation", [CONVERSATION, CONVERSATION[1:], WITH_TOOLS, WITH_TOOLS[1:]])
def test_a_question_with_its_prompt_is_a_prefix_of_the_answered_conversation(
    conversation: list[dict[str, Any]], tools: list[dict[str, Any]] | None
) -> None:
    tokenizer = make_tokenizer()
    for number, message in enumerate(conversation):
        if message["role"] != "assistant":
            continue
        asked = tokenizer.apply_chat_template(conversation[:number], tools=tools, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template(conversation[: number + 1], tools=tools)["input_ids"]
        assert whole[: len(asked["input_ids"])] == asked["input_ids"]
        # and what comes later changes nothing of what came before
        assert rendered(conversation, tools).startswith(rendered(conversation[: number + 1], tools))


def test_what_is_learnt_is_what_the_assistant_writes() -> None:
    assert learnt(CONVERSATION) == f"Behind the panel.\n{TURN_END}Welcome{TURN_END}"


def test_calls_are_learnt_and_results_are_not() -> None:
    first, second, rest = learnt(WITH_TOOLS, TOOLS).split(TURN_END)
    assert rest == ""
    calls = [json.loads(part.partition("</tool_call>")[0]) for part in first.split("<tool_call>")[1:]]
    assert calls == [
        {"name": "stock", "arguments": {"part": "OF-12 ü", "left": True}},
        {"name": "order", "arguments": {"part": "OF-12"}},
    ]
    assert second.startswith("<think>\nI counted.\n</think>\n\nThree are left.\n<tool_call>\n")


def test_tools_are_told_in_the_system_turn_and_results_in_turns_of_their_own() -> None:
    text = rendered(WITH_TOOLS, TOOLS)
    system = text.partition(TURN_END)[0]
    assert system.startswith("<|im_start|>system\nAnswer from the manual.\n\n# Tools\n")
    told = system.partition("<tools>\n")[2].partition("\n</tools>")[0]
    assert [json.loads(line) for line in told.split("\n")] == TOOLS
    assert "<|im_start|>tool\n<tool_response>\n3\n</tool_response><|im_end|>\n" in text
    assert text.count("Answer from the manual.") == 1
    assert rendered(WITH_TOOLS[1:], TOOLS).startswith("<|im_start|>system\n# Tools\n")


def test_an_unknown_role_is_refused_by_name() -> None:
    with pytest.raises(jinja2.TemplateError, match="unknown role 'robot'"):
        rendered([{"role": "robot", "content": "beep"}])


def test_parts_that_are_no_text_are_refused() -> None:
    with pytest.raises(jinja2.TemplateError, match="this is a text model"):
        rendered([{"role": "user", "content": [{"type": "image", "url": "x.png"}]}])
