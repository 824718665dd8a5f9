"""Conversations as applications send them, in the templates that published models come with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from loresmith.models.chat_template import CHAT_TEMPLATE
from loresmith.models.conversation import ConversationRenderer
from loresmith.serving.gateway.asked import Asked
from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.prompting import prompt_ids, turn_of
from loresmith.serving.gateway.sound_messages import require_sound
from loresmith.serving.gateway.tool_calls import BEGIN, END, ToolCallReader
from loresmith.serving.guards.conversation import Conversation
from loresmith.serving.message_parts import TEXT_PARTS
from loresmith.serving.retrieval.prompt import question_of
from tests.serving.engines.served_models import make_tokenizer

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""As SmolLM2 and many others have it: it takes for granted that every message has a text."""

CALLS: list[dict[str, Any]] = [
    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
]


TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {"name": name, "description": "How it is there.", "parameters": {"type": "object"}},
    }
    for name in ("weather", "tide")
]


class Rendering:
    """As much of a served model as a prompt needs."""

    name = "acme"

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @property
    def renderer(self) -> ConversationRenderer:
        return ConversationRenderer(self._tokenizer)


def rendered(*messages: dict[str, Any], tools: Sequence[dict[str, Any]] = (), template: str = CHATML) -> str:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    model: Any = Rendering(tokenizer)
    asked = Asked(route="/v1/chat/completions", model="acme", messages=messages, tools=tuple(tools))
    return str(tokenizer.decode(prompt_ids(asked, model, messages, tools)))


def test_a_plain_template_is_told_in_words_of_tools_calls_and_what_they_gave() -> None:
    """What every application with tools sends back has `content: null` beside the calls."""
    order = {"role": "system", "content": "Be short."}
    asked = {"role": "user", "content": "How is the weather?"}
    called = {"role": "assistant", "content": None, "tool_calls": [*CALLS, *CALLS]}
    gave = [{"role": "tool", "tool_call_id": "call_1", "content": said} for said in ("sunny", "23 degrees")]
    text = rendered(order, asked, called, *gave, tools=TOOLS)
    head, *turns = text.split("<|im_start|>")[1:]
    assert head.startswith("system\nBe short.\n\nYou may call functions.")
    assert [name in head for name in ('"name": "weather"', '"name": "tide"', BEGIN, END)] == [True] * 4
    call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
    results = "<tool_response>\nsunny\n</tool_response>\n<tool_response>\n23 degrees\n</tool_response>"
    assert turns == [
        "user\nHow is the weather?<|im_end|>\n",
        f"assistant\n{call}\n{call}<|im_end|>\n",
        f"user\n{results}<|im_end|>\n",
        "assistant\n",
    ]


def test_a_template_without_a_system_is_offered_tools_by_the_user() -> None:
    """And users and assistants take turns, as such templates want it."""
    strict = (
        "{% for message in messages %}{% if message['role'] == 'system' %}{{ raise_exception('no system here') }}"
        "{% elif (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('not your turn') }}"
        "{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
    )
    asked = {"role": "user", "content": "How is the weather?"}
    called = {"role": "assistant", "content": None, "tool_calls": CALLS}
    gave = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    more = {"role": "user", "content": "And the tide?"}
    text = rendered(asked, called, gave, more, tools=TOOLS, template=strict)
    assert text.startswith("<|im_start|>user\nYou may call functions.")
    assert "\n\nHow is the weather?<|im_end|>" in text
    assert text.endswith("<tool_response>\nsunny\n</tool_response>\nAnd the tide?<|im_end|>\n")


def test_a_template_that_is_broken_is_the_request_s_problem() -> None:
    with pytest.raises(Problem, match="not valid Jinja"):
        rendered({"role": "user", "content": "Well?"}, template="{% for %}")


def test_what_a_model_is_told_to_write_is_read_as_a_call() -> None:
    text = rendered({"role": "user", "content": "Well?"}, {"role": "assistant", "content": "", "tool_calls": CALLS})
    _, (call,) = ToolCallReader(["weather"]).feed(text)
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Oslo"})


@pytest.mark.parametrize(
    "arguments",
    ['{"a": "\\ud83d"}', '{"a": ', "[" * 500 + "]" * 500, "[" * 100_000, "{}", None, {"a": 1}],
    ids=lambda arguments: len(str(arguments)),
)
def test_a_plain_template_shows_every_call_that_was_written(arguments: Any) -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": arguments}}
    text = rendered({"role": "user", "content": "Well?"}, {"role": "assistant", "content": "", "tool_calls": [call]})
    assert '{"name": "weather", "arguments": ' in text


@pytest.mark.parametrize(
    "written",
    [
        '{"name": ["weather"], "arguments": {}}',
        '{"name": {"weather": 1}, "arguments": {}}',
        '{"name": null, "arguments": {}}',
        '["weather"]',
        '{"name": "\\ud83d", "arguments": {}}',
        "[" * 100_000,
        '{"name": "weather", "arguments": {"a": "\\ud83d"}}',
        '{"name": "weather", "arguments": {"\\ud83d": 1}}',
        '{"name": "weather", "arguments": "\\ud83d"}',
        '{"name": "weather", "arguments": {"a": NaN}}',
        '{"name": "weather", "arguments": {"a": 1e999}}',
        '{"name": "weather", "arguments": ' + "[" * 100_000 + "}",
    ],
)
def test_what_is_no_call_after_all_is_text(written: str) -> None:
    text = f"{BEGIN}{written}{END}"
    assert ToolCallReader(["weather"]).feed(text) == (text, [])


def test_whole_letters_are_a_call_however_they_are_written() -> None:
    _, (call,) = ToolCallReader(["weather"]).feed(
        f'{BEGIN}{{"name": "weather", "arguments": {{"a": "\\ud83d\\ude00"}}}}{END}'
    )
    assert json.loads(call.arguments) == {"a": "\U0001f600"}


def test_a_template_that_shows_tools_is_left_alone() -> None:
    text = rendered({"role": "user", "content": "Well?"}, tools=TOOLS, template=CHAT_TEMPLATE)
    assert "You may call functions" not in text
    assert text.count("tide") == 1


def test_a_conversation_without_tools_is_left_alone() -> None:
    assert rendered({"role": "user", "content": "Well?"}) == (
        "<|im_start|>user\nWell?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_refusal_is_what_was_said() -> None:
    assert "I may not.<|im_end|>" in rendered({"role": "assistant", "refusal": "I may not."})
    parts = [{"type": "text", "text": "No: "}, {"type": "refusal", "refusal": "I may not."}]
    assert "No: I may not.<|im_end|>" in rendered({"role": "assistant", "content": parts})


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a type that is not known": (
        {"content": [{"type": "text", "text": "a"}, {"type": "note", "text": "b"}]},
        ".content.1",
    ),
    "a type that is no word": ({"content": [{"type": [], "text": "a"}]}, ".content.0"),
    "no text": ({"content": [{"type": "text"}]}, ".content.0"),
    "a text that is none": ({"content": [{"type": "text", "text": 5}]}, ".content.0"),
    "nothing": ({"content": [{}]}, ".content.0"),
    "a function that is a word": ({"tool_calls": [{"function": "x"}]}, ".tool_calls.0"),
    "no function": ({"tool_calls": [*CALLS, {"type": "custom"}]}, ".tool_calls.1"),
    "a name that is none": ({"tool_calls": [{"function": {"name": ["x"]}}]}, ".tool_calls.0"),
    "arguments that are none": (
        {"tool_calls": [{"function": {"name": "x", "arguments": [1]}}]},
        ".tool_calls.0.function.arguments",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_message_that_cannot_be_read_is_refused_and_its_place_is_named(kind: str) -> None:
    message, place = WRONG[kind]
    with pytest.raises(Problem) as wrong:
        require_sound([{"role": "user", "content": "Hi"}, {"role": "assistant", **message}])
    assert (wrong.value.status, wrong.value.param) == (400, f"messages.1{place}")
    assert wrong.value.message.startswith(f"messages.1{place}: ")


def test_guards_read_and_passages_are_looked_for_by_what_the_model_is_given() -> None:
    """Else a phrase over two parts that only the model has put together would get past them."""
    parts = [{"type": kind, "text": "pang"} for kind in sorted(TEXT_PARTS)]
    parts += [{"text": "olin"}, {"type": "refusal", "refusal": "x"}, {"type": "note", "text": "y"}, {"type": "text"}]
    readable = []
    for part in parts:
        message = {"role": "user", "content": [part, {"type": "text", "text": "!"}]}
        try:
            given = str(turn_of(message)["content"])
        except Problem:
            given = ""
        looked_at = [text for _, _, text in Conversation([message]).joined()]
        assert (looked_at[:1] == [given]) == bool(given)
        assert question_of([message]).replace("\n", "") == (given or "!")
        readable.append(bool(given))
    assert readable == [True] * (len(parts) - 2) + [False] * 2


def test_a_part_without_text_is_named() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    with pytest.raises(Problem, match="'image_url': models here read text alone"):
        turn_of({"role": "user", "content": [{"type": "text", "text": "Look:"}, picture]})
