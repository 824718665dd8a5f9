"""Threads that render at the same time: none waits for another's conversation, and none gets anything of it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from loresmith.models.template_text import TemplateText, template_text

SLOW = """{%- for message in messages -%}
{%- if message.role == 'user' and message.content == 'slowly' -%}
{%- for i in range(90000) -%}{%- for j in range(40) -%}{%- endfor -%}{%- endfor -%}
{%- endif -%}
<{{ message.role }}>
{%- if message.role == 'assistant' -%}
{%- generation -%}{{ message.content }};{%- endgeneration -%}
{%- else -%}{{ message.content }}{%- endif -%}
{%- endfor -%}"""
"""A template for which one word takes some tenths of a second at least."""


def said(words: str, turns: int = 1) -> TemplateText:
    turn = [{"role": "user", "content": words}, {"role": "assistant", "content": words.upper()}]
    return template_text(SLOW, turn * turns)


def test_a_short_conversation_does_not_wait_for_a_long_one() -> None:
    said("quickly")
    begun = threading.Event()

    def slow() -> TemplateText:
        begun.set()
        return said("slowly")

    with ThreadPoolExecutor(1) as aside:
        rendering = aside.submit(slow)
        begun.wait()
        for _ in range(3):
            assert said("quickly").text == "<user>quickly<assistant>QUICKLY;"
            assert not rendering.done()
        assert rendering.result().text == "<user>slowly<assistant>SLOWLY;"


def test_each_gets_its_own_stretches() -> None:
    words = [f"word{number}" * (1 + number) for number in range(40)]
    alone = [said(each, 30) for each in words]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda each: said(each, 30), words)) == alone
    for each, text in zip(words, alone, strict=True):
        assert [text.text[start:end] for start, end in text.spans] == [f"{each.upper()};"] * 30
